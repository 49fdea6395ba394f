"""Phase one through its handler, with a dict for the Table."""

import pytest

from streams.alerts.rules import shipped_rules
from streams.windows.counting import ChangeCounter
from streams.windows.merge import View
from streams.windows.signals import Series
from streams.windows.state import BlockKey, PositionKey, StateUnreadable, decode_key
from tests.unit.windows.changes import ATTEMPTS, PUSH_LOGS, attempt, batch_of, envelope, push_log

RULES = shipped_rules()
BLOCK_MS = RULES.layout.block_ms
PUSH = Series("push_outcomes")
POSTHOG = Series("dispatch_outcomes", ("POSTHOG",))


class RecordingTable(dict):
    """A Table that knows how often it was written."""

    def __init__(self):
        super().__init__()
        self.writes = []

    def __setitem__(self, key, value):
        assert value, "memory:// drops falsy values in recovery"
        self.writes.append(key)
        super().__setitem__(key, value)


@pytest.fixture
def table():
    return RecordingTable()


def counter_over(table):
    return ChangeCounter(RULES.signals, RULES.layout, RULES.retention_ms, table)


@pytest.fixture
def counter(table):
    return counter_over(table)


def sums(table, series, end_ms=10_000, window_ms=10_000):
    view = View(RULES.layout)
    for key, value in table.items():
        view.apply(key, value)
    return view.sums(series, end_ms, window_ms)


def kinds(table):
    return sorted(type(decode_key(key)).__name__ for key in table)


async def test_a_batch_is_one_write_per_touched_block_and_one_position(counter, table):
    values = [push_log(key, "DELIVERED" if key % 4 else "FAILED", lsn=10 + key) for key in range(8)]
    handled = await counter.handle(batch_of(PUSH_LOGS, values))
    assert handled.refusals == ()
    assert len(table.writes) == 2
    assert isinstance(decode_key(table.writes[-1]), PositionKey), "the position comes after the blocks it speaks for"
    assert sums(table, PUSH) == {"attempted": 8, "delivered": 6}


async def test_series_of_one_table_are_apart(counter, table):
    values = [attempt(1, 50, 5, lsn=11), attempt(2, 7, 7, target="OTHER", lsn=12), attempt(3, 50, 0, lsn=13)]
    await counter.handle(batch_of(ATTEMPTS, values))
    assert sums(table, POSTHOG) == {"attempted": 100, "failed": 5}
    assert sums(table, Series("dispatch_outcomes", ("OTHER",))) == {"attempted": 7, "failed": 7}


async def test_a_change_goes_to_the_pane_of_its_own_commit_time(counter, table):
    values = [push_log(1, commit_ms=25_000, tx=1, lsn=11, previous=1), push_log(2, commit_ms=9_000, tx=2, previous=20)]
    await counter.handle(batch_of(PUSH_LOGS, values))
    assert sums(table, PUSH, 10_000) == {"attempted": 1, "delivered": 1}
    assert sums(table, PUSH, 30_000) == {"attempted": 1, "delivered": 1}
    assert sums(table, PUSH, 20_000) == {}
    assert sums(table, PUSH, 30_000, 30_000) == {"attempted": 2, "delivered": 2}


async def test_what_is_delivered_again_is_not_counted_again(counter, table):
    values = [push_log(key, lsn=10 + key) for key in range(5)]
    await counter.handle(batch_of(PUSH_LOGS, values))
    before = dict(table)
    await counter.handle(batch_of(PUSH_LOGS, values[2:], first=2))
    assert table == before


async def test_a_new_owner_goes_on_from_the_restored_table_and_takes_its_place(counter, table):
    values = [push_log(key, lsn=10 + key) for key in range(5)]
    await counter.handle(batch_of(PUSH_LOGS, values[:3], generation=4))
    successor = counter_over(table)
    await successor.handle(batch_of(PUSH_LOGS, values, generation=5))
    assert sums(table, PUSH) == {"attempted": 5, "delivered": 5}
    generations = {decode_key(key).generation for key in table if isinstance(decode_key(key), BlockKey | PositionKey)}
    assert generations == {5}, "the former owner's records are ended"


async def test_a_position_is_written_even_if_nothing_counts(counter, table):
    await counter.handle(batch_of(PUSH_LOGS, [None, envelope("push_message_logs", {"id": 1}, op="u")], first=40))
    assert kinds(table) == ["PositionKey"]
    view = View(RULES.layout)
    for key, value in table.items():
        view.apply(key, value)
    assert view.position(PUSH_LOGS, 0).next_offset == 42


async def test_u_d_t_r_and_tombstones_are_passed_over(counter, table):
    row = {"id": 1, "status": "DELIVERED"}
    values = [None, *(envelope("push_message_logs", row, op=op) for op in "udtr")]
    handled = await counter.handle(batch_of(PUSH_LOGS, values))
    assert handled.refusals == ()
    assert sums(table, PUSH) == {}


async def test_what_cannot_be_read_or_compared_is_refused_and_the_rest_is_counted(counter, table):
    values = [
        b"{",
        push_log(1, lsn=11),
        envelope("push_message_logs", {"id": 2}, lsn=12),
        push_log(3, lsn=13, previous=None),
        push_log(4, lsn=14),
    ]
    handled = await counter.handle(batch_of(PUSH_LOGS, values))
    assert [(refusal.record.offset, refusal.reason) for refusal in handled.refusals] == [
        (0, "not_json"),
        (2, "missing_field"),
        (3, "missing_field"),
    ]
    assert "sequence[0] is null" in handled.refusals[2].error
    assert sums(table, PUSH) == {"attempted": 2, "delivered": 2}


async def test_blocks_out_of_reach_end_with_one_tombstone_each(counter, table):
    far_ms = RULES.retention_ms + 3 * BLOCK_MS
    await counter.handle(batch_of(PUSH_LOGS, [push_log(1, commit_ms=5_000)]))
    await counter.handle(batch_of(PUSH_LOGS, [push_log(2, commit_ms=far_ms, tx=2, previous=50)], first=1))
    blocks = [decode_key(key).slot.block_start_ms for key in table if isinstance(decode_key(key), BlockKey)]
    assert blocks == [RULES.layout.block_start_ms(far_ms)]
    # Delivered again after its block is gone: the position's fence still knows it.
    await counter.handle(batch_of(PUSH_LOGS, [push_log(1, commit_ms=5_000)], first=0))
    assert sums(table, PUSH) == {}


async def test_a_clock_that_jumped_ahead_does_not_spoil_what_follows(counter, table):
    far_ms = 1_000 * BLOCK_MS
    await counter.handle(batch_of(PUSH_LOGS, [push_log(1, commit_ms=far_ms)]))
    await counter.handle(batch_of(PUSH_LOGS, [push_log(2, commit_ms=5_000, tx=2, previous=50)], first=1))
    await counter.handle(batch_of(PUSH_LOGS, [push_log(3, commit_ms=6_000, tx=3, previous=60)], first=2))
    assert sums(table, PUSH) == {"attempted": 2, "delivered": 2}


async def test_a_release_that_reads_a_newer_state_stops(counter, table):
    await counter.handle(batch_of(PUSH_LOGS, [push_log(1)]))
    for key in list(table):
        dict.__setitem__(table, key, table[key].replace(b'"v":1', b'"v":2'))
    with pytest.raises(StateUnreadable, match="version 1"):
        await counter_over(table).handle(batch_of(PUSH_LOGS, [push_log(2)], first=1, generation=2))


async def test_a_sum_that_a_release_adds_starts_at_nothing(counter, table):
    await counter.handle(batch_of(PUSH_LOGS, [push_log(1)]))
    for key in list(table):
        value = table[key].replace(b'["attempted","delivered"]', b'["delivered","gone"]')
        dict.__setitem__(table, key, value)
    await counter_over(table).handle(batch_of(PUSH_LOGS, [push_log(2, lsn=11)], first=1, generation=2))
    assert sums(table, PUSH) == {"attempted": 1, "delivered": 2}
