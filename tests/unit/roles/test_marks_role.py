"""The marks role: PENDING to PUBLISHED, FAILED untouched, missing rows by age."""

from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from sinks.store_errors import StoreUnavailable
from streams.engine.outcomes import Transient
from streams.roles.marks import MarksRole
from streams.roles.memory import MemoryMarkStore, SourceRow
from tests.unit.roles.role_records import batch, change_value, outbox_row

COMMIT_MS = 1_763_712_000_000


@pytest.fixture
def store():
    return MemoryMarkStore()


def role_at(store, seconds_after_commit):
    return MarksRole(store, now_s=lambda: COMMIT_MS / 1000 + seconds_after_commit)


def gone():
    return REGISTRY.get_sample_value("source_marked_rows_total", {"result": "gone"}) or 0.0


async def test_rows_seen_are_published(store):
    ids = {place: uuid4() for place in range(3)}
    store.sources.update({place: SourceRow(event_id) for place, event_id in ids.items()})
    values = [change_value(outbox_row(place, event_id)) for place, event_id in ids.items()]
    assert (await role_at(store, 0).handle(batch(*values, values[0]))).refusals == ()
    assert {source.status for source in store.sources.values()} == {"PUBLISHED"}


@pytest.mark.parametrize("op", ["c", "r"])
async def test_a_refused_row_stays_failed(store, op):
    event_id = uuid4()
    store.sources[1] = SourceRow(event_id, "FAILED", 1, "not_json")
    await role_at(store, 0).handle(batch(change_value(outbox_row(1, event_id), op=op)))
    assert store.sources[1].status == "FAILED"


async def test_a_row_not_visible_yet_is_waited_for(store):
    value = change_value(outbox_row(1))
    with pytest.raises(Transient, match="not visible"):
        await role_at(store, 9.9).handle(batch(value))


async def test_a_row_that_is_gone_is_counted_and_passed_over(store):
    before = gone()
    assert (await role_at(store, 10.1).handle(batch(change_value(outbox_row(1))))).refusals == ()
    assert gone() == before + 1


async def test_one_young_row_holds_the_batch_though_others_are_gone(store):
    values = [
        change_value(outbox_row(1), commit_ms=COMMIT_MS),
        change_value(outbox_row(2), commit_ms=COMMIT_MS + 60_000),
    ]
    with pytest.raises(Transient, match="1 source rows"):
        await role_at(store, 61).handle(batch(*values))


async def test_an_id_given_out_again_after_a_restore_is_not_marked(store):
    store.sources[1] = SourceRow(uuid4())
    await role_at(store, 60).handle(batch(change_value(outbox_row(1, uuid4()))))
    assert store.sources[1].status == "PENDING"


async def test_unreadable_records_are_left_to_the_activity_role(store):
    values = [
        None,
        b"junk",
        change_value(outbox_row(), op="u"),
        change_value(outbox_row("x")),
        change_value(outbox_row(1, "no")),
    ]
    assert (await role_at(store, 60).handle(batch(*values))).refusals == ()


async def test_an_unavailable_store_is_transient(store):
    store.unavailable = StoreUnavailable(None, "down")
    with pytest.raises(Transient):
        await role_at(store, 60).handle(batch(change_value(outbox_row())))


async def test_there_is_nothing_to_do_in_the_background(store):
    assert await role_at(store, 0).background() is None
