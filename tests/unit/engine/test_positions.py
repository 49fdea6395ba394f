"""What the ledger lets through, and what it commits."""

import pytest

from streams.engine.positions import Drop, Partition, Positions, SeekBack, Span, Take

WHERE = Partition("cdc.public.jobs", 2)


@pytest.fixture
def positions() -> Positions:
    ledger = Positions()
    ledger.own([WHERE])
    return ledger


def begin(positions: Positions, offset: int = 100, committed: int | None = 100) -> int:
    token = positions.new_token(WHERE)
    positions.start(WHERE, offset, committed)
    return token


def take(positions: Positions, span: Span) -> Take:
    decision = positions.deliver(WHERE, span)
    assert isinstance(decision, Take)
    return decision


def test_nothing_is_delivered_before_the_beginning_is_known(positions):
    assert positions.deliver(WHERE, Span(0, 10, positions.new_token(WHERE))) == Drop()
    assert positions.wanted(WHERE) is None
    assert positions.committable(WHERE) is None


def test_the_first_slice_after_an_assignment_commits_at_its_end(positions):
    # Stock Faust never committed here: its first acknowledged offset lay 199 above the committed one.
    token = begin(positions)
    positions.acknowledge(take(positions, Span(100, 300, token)).ticket)
    assert positions.committable(WHERE) == 300


def test_acknowledging_the_later_slice_first_commits_nothing(positions):
    # Stock Faust commits 300 here.
    token = begin(positions)
    first, second = take(positions, Span(100, 200, token)), take(positions, Span(200, 300, token))
    positions.acknowledge(second.ticket)
    assert positions.committable(WHERE) is None
    positions.acknowledge(first.ticket)
    assert positions.committable(WHERE) == 300


def test_a_slice_beyond_the_next_offset_is_fetched_again(positions):
    token = begin(positions)
    decision = positions.deliver(WHERE, Span(150, 200, token))
    assert isinstance(decision, SeekBack)
    assert decision.offset == 100
    assert positions.deliver(WHERE, Span(200, 250, token)) == Drop()
    assert take(positions, Span(100, 250, decision.token)).from_offset == 100


def test_an_overlap_is_trimmed(positions):
    token = begin(positions)
    take(positions, Span(100, 200, token))
    again = positions.new_token(WHERE)
    assert take(positions, Span(150, 260, again)).from_offset == 200
    assert positions.deliver(WHERE, Span(100, 260, again)) == Drop()


def test_a_hole_that_kafka_skipped_lies_inside_the_span(positions):
    # Compaction, aborted transactions: the reader stood at 100 and stands at 500, whatever records were between.
    token = begin(positions)
    positions.acknowledge(take(positions, Span(100, 500, token)).ticket)
    assert positions.committable(WHERE) == 500


def test_an_acknowledgement_of_an_ended_ownership_changes_nothing(positions):
    token = begin(positions)
    ticket = take(positions, Span(100, 200, token)).ticket
    positions.give_up([WHERE])
    positions.own([WHERE])
    begin(positions)
    assert positions.acknowledge(ticket) is False
    assert positions.committable(WHERE) is None


def test_an_acknowledgement_counts_once(positions):
    ticket = take(positions, Span(100, 200, begin(positions))).ticket
    assert positions.acknowledge(ticket) is True
    assert positions.acknowledge(ticket) is False


def test_a_replaced_log_is_read_from_its_beginning(positions):
    token = begin(positions, offset=1000, committed=1000)
    old = take(positions, Span(1000, 1100, token))
    new = take(positions, Span(0, 50, token, rewound=True))
    assert new.from_offset == 0
    assert positions.acknowledge(old.ticket) is False
    positions.acknowledge(new.ticket)
    assert positions.committable(WHERE) == 50


def test_a_partition_without_a_commit_gets_one_at_its_start(positions):
    begin(positions, offset=40, committed=None)
    assert positions.committable(WHERE) == 40
    positions.commit_done(WHERE, 40)
    assert positions.committable(WHERE) is None


def test_a_second_seek_does_not_move_the_ledger(positions):
    take(positions, Span(100, 200, begin(positions)))
    positions.start(WHERE, 100, 100)
    assert positions.wanted(WHERE) == 200


def test_a_late_commit_answer_does_not_hide_what_is_uncommitted(positions):
    begin(positions, offset=100, committed=100)
    positions.commit_done(WHERE, 900)
    positions.acknowledge(take(positions, Span(100, 200, positions.new_token(WHERE))).ticket)
    assert positions.committable(WHERE) == 200


def test_a_partition_not_owned_is_never_delivered_or_committed():
    positions = Positions()
    assert positions.deliver(WHERE, Span(0, 1, 0)) == Drop()
    assert positions.committable(WHERE) is None
    with pytest.raises(KeyError):
        positions.new_token(WHERE)
