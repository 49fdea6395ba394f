"""Events written by hand, and the rounds in which timestamps are looked up."""

from uuid import UUID

from ops import lag_report
from ops.produce import Draft, numbered
from ops.settings_model import Settings


def test_each_event_has_an_id_and_a_time_of_its_own():
    drafts = numbered(Draft("group.created", "member:1", {}), 3)
    assert len({draft.event_id for draft in drafts}) == 3
    assert all(draft.occurred_at.tzinfo is not None for draft in drafts)


def test_a_given_id_is_kept_by_all_of_them():
    event_id = UUID(int=5)
    assert {draft.event_id for draft in numbered(Draft("a.b", "k", {}, event_id=event_id), 2)} == {event_id}


def test_two_positions_of_one_partition_are_read_in_two_rounds(monkeypatch):
    rounds = []

    def read(_settings, positions):
        rounds.append(positions)
        return dict.fromkeys(positions, 1)

    monkeypatch.setattr(lag_report, "first_timestamps", read)
    waiting = [(("t", 0), 1), (("t", 0), 5), (("t", 1), 2)]
    assert set(lag_report._timestamps(Settings(), waiting)) == set(waiting)
    assert [sorted(one) for one in rounds] == [[(("t", 0), 1), (("t", 1), 2)], [(("t", 0), 5)]]
