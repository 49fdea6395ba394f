"""The activity role: what it stores, what it refuses, what it says."""

import asyncio
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from schemas.avro import AvroCodec
from schemas.runbook_messages import CONSUME_FAILED, DUPLICATE_SKIPPED, HOOK_FAILED
from sinks.store_errors import StoreRefused, StoreUnavailable
from sinks.store_values import StoreReport
from streams.engine.outcomes import Poison, Transient
from streams.roles.activity import ActivityRole, RepairPace
from streams.roles.memory import MemoryEventStore, MemorySchemas, SourceRow
from tests.unit.roles.role_records import ALLOWED, AVRO, SOURCE, batch, change_value, outbox_row

EVENT_ID = UUID("5a3c8f6e-7b1d-4f9a-8c2e-1d2b3a4c5e6f")


@pytest.fixture
def store():
    return MemoryEventStore()


@pytest.fixture
def schemas():
    return MemorySchemas()


@pytest.fixture
def role(store, schemas):
    return ActivityRole(
        store,
        AvroCodec({"activity-event": 1}),
        schemas,
        allowed=ALLOWED,
        avro_topic=AVRO,
        repair=RepairPace(every_s=0.0, retry_s=0.0, between_s=0.0),
    )


def counted(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_events_are_stored_in_order_and_dispatched(role, store):
    rows = [outbox_row(place, uuid4()) for place in range(5)]
    handled = await role.handle(batch(*map(change_value, rows)))
    assert handled.refusals == ()
    assert [str(event_id) for event_id in store.events] == [row["event_id"] for row in rows]
    assert store.dispatched == set(store.events)


async def test_enqueued_rows_are_counted_by_result_and_target(role):
    name = "analytics_user_activity_dispatch_enqueue_total"
    before = counted(name, result="inserted", target="POSTHOG")
    await role.handle(batch(change_value(outbox_row()), change_value(outbox_row(2))))
    assert counted(name, result="inserted", target="POSTHOG") == before + 2


async def test_refused_records_become_refusals_and_their_rows_fail(role, store):
    store.sources[7] = SourceRow(EVENT_ID)
    good = outbox_row(8)
    with capture_logs() as logs:
        handled = await role.handle(
            batch(change_value(outbox_row(7, EVENT_ID, payload="oops")), change_value(good), b"junk")
        )
    assert [(refusal.record.offset, refusal.reason) for refusal in handled.refusals] == [
        (0, "not_json"),
        (2, "not_json"),
    ]
    assert [str(event_id) for event_id in store.events] == [good["event_id"]]
    source = store.sources[7]
    assert (source.status, source.retry_count) == ("FAILED", 1)
    assert [entry["offset"] for entry in logs if entry.get("message") == CONSUME_FAILED] == [0, 2]


async def test_many_refusals_are_logged_in_bounds(role):
    with capture_logs() as logs:
        handled = await role.handle(batch(*[b"junk"] * 50))
    assert len(handled.refusals) == 50
    lines = [entry for entry in logs if entry.get("message") == CONSUME_FAILED]
    assert len(lines) == 21
    assert lines[-1]["more"] == 30


async def test_a_duplicate_is_logged_once_a_batch_and_not_refused(role, store):
    value = change_value(outbox_row(1, EVENT_ID))
    await role.handle(batch(value))
    with capture_logs() as logs:
        handled = await role.handle(batch(value, value, first=10))
    assert handled.refusals == ()
    assert len(store.events) == 1
    (entry,) = [entry for entry in logs if entry.get("message") == DUPLICATE_SKIPPED]
    assert (entry["duplicates"], entry["redelivered"], entry["log_level"]) == (2, 0, "info")


async def test_a_redelivered_batch_is_told_from_duplicates(role):
    again = batch(change_value(outbox_row(1, EVENT_ID)))
    await role.handle(again)
    before = counted("activity_records_total", topic=SOURCE, result="redelivered")
    assert (await role.handle(again)).refusals == ()
    assert counted("activity_records_total", topic=SOURCE, result="redelivered") == before + 1


async def test_a_second_body_is_a_conflict_and_the_first_stands(role, store):
    first, second = outbox_row(1, EVENT_ID), outbox_row(2, EVENT_ID, payload='{"groupId":8}')
    handled = await role.handle(batch(change_value(first), change_value(second)))
    (refusal,) = handled.refusals
    assert (refusal.record.offset, refusal.reason, refusal.source_identity) == (1, "conflict", str(EVENT_ID))
    assert store.events[EVENT_ID].offset == 0


async def test_skipped_records_are_counted_only(role, store):
    before = counted("activity_records_total", topic=SOURCE, result="skipped")
    handled = await role.handle(batch(None, change_value(outbox_row(), op="u"), change_value(outbox_row(), op="d")))
    assert handled.refusals == ()
    assert not store.events
    assert counted("activity_records_total", topic=SOURCE, result="skipped") == before + 3


async def test_an_unavailable_store_is_transient(role, store):
    store.unavailable = StoreUnavailable("57P01", "shutting down")
    with pytest.raises(Transient, match="57P01"):
        await role.handle(batch(change_value(outbox_row())))


async def test_a_defect_passes_as_it_came(role, store, monkeypatch):
    async def defective(rows, refused):
        raise LookupError("no such table")

    monkeypatch.setattr(store, "store", defective)
    with pytest.raises(LookupError):
        await role.handle(batch(change_value(outbox_row())))


async def test_refused_values_among_several_are_the_engines_to_find(role, store):
    store.unavailable = StoreRefused("22P05", "unsupported Unicode")
    with pytest.raises(Poison, match="22P05"):
        await role.handle(batch(change_value(outbox_row(1)), change_value(outbox_row(2))))


async def test_the_one_event_that_the_store_refuses_is_refused_and_its_row_fails(role, store):
    store.sources[7] = SourceRow(EVENT_ID)
    store.unavailable = StoreRefused("22P05", "unsupported Unicode")
    (refusal,) = (await role.handle(batch(None, change_value(outbox_row(7, EVENT_ID))))).refusals
    assert (refusal.record.offset, refusal.reason, refusal.source_identity) == (1, "poison", str(EVENT_ID))
    assert store.sources[7].status == "FAILED"
    assert "22P05" in (store.sources[7].last_error or "")


async def test_replayed_and_accepted_a_failed_row_is_published(role, store):
    store.sources[7] = SourceRow(EVENT_ID, "FAILED", 1, "not_json")
    await role.handle(batch(change_value(outbox_row(7, EVENT_ID), op="r")))
    assert (store.sources[7].status, store.sources[7].last_error) == ("PUBLISHED", None)


async def test_replayed_and_refused_again_it_stays_failed(role, store):
    store.sources[7] = SourceRow(EVENT_ID, "FAILED", 1, "not_json")
    await role.handle(batch(change_value(outbox_row(7, EVENT_ID, payload="still"), op="r")))
    assert (store.sources[7].status, store.sources[7].retry_count) == ("FAILED", 2)


async def test_unknown_schema_ids_are_fetched_before_decoding(role, schemas):
    handled = await role.handle(batch(b"\x00\x00\x00\x00\x63abc", b"junk", None, topic=AVRO))
    assert schemas.asked == [frozenset({0x63})]
    assert [refusal.reason for refusal in handled.refusals] == ["unknown_schema_id", "not_avro", "null_value"]


async def test_a_failing_hook_leaves_the_events_and_says_so(role, store):
    store.enqueue_error = "relation is locked"
    name = "analytics_user_activity_dispatch_enqueue_total"
    before = counted(name, result="fail", target="POSTHOG")
    with capture_logs() as logs:
        handled = await role.handle(batch(change_value(outbox_row()), change_value(outbox_row(2))))
    assert handled.refusals == ()
    assert len(store.events) == 2
    assert counted(name, result="fail", target="POSTHOG") == before + 2
    assert [entry["events"] for entry in logs if entry.get("message") == HOOK_FAILED] == [2]


async def test_the_repair_enqueues_what_a_failed_hook_left_out(role, store):
    store.enqueue_error = "relation is locked"
    await role.handle(batch(*[change_value(outbox_row(place)) for place in range(3)]))
    assert not store.dispatched
    store.enqueue_error = None
    repairing = asyncio.create_task(role.background())
    async with asyncio.timeout(5):
        while len(store.dispatched) < 3:
            await asyncio.sleep(0)
    repairing.cancel()
    assert store.dispatched == set(store.events)


@pytest.mark.parametrize("error", [StoreUnavailable(None, "down"), StoreRefused("22003", "out of range")])
async def test_the_repair_outlives_a_store_that_fails_and_a_failing_hook(role, store, error):
    store.enqueue_error = "still locked"
    await role.handle(batch(change_value(outbox_row())))
    store.unavailable = error
    repairing = asyncio.create_task(role.background())
    async with asyncio.timeout(5):
        while store.unavailable is not None:
            await asyncio.sleep(0)
        store.enqueue_error = None
        while not store.dispatched:
            await asyncio.sleep(0)
    assert not repairing.done()
    repairing.cancel()


async def test_a_hook_that_fails_wakes_the_repair(store, schemas):
    pace = RepairPace(every_s=3600.0, retry_s=0.0, between_s=0.0)
    codec = AvroCodec({"activity-event": 1})
    role = ActivityRole(store, codec, schemas, allowed=ALLOWED, avro_topic=AVRO, repair=pace)
    repairing = asyncio.create_task(role.background())
    await asyncio.sleep(0)
    store.enqueue_error = "relation is locked"
    await role.handle(batch(change_value(outbox_row())))
    store.enqueue_error = None
    async with asyncio.timeout(5):
        while not store.dispatched:
            await asyncio.sleep(0)
    repairing.cancel()
    assert store.gaps == []


async def test_nothing_to_store_asks_nobody(role, store, monkeypatch):
    async def never(rows, refused) -> StoreReport:
        raise AssertionError("the store was asked")

    monkeypatch.setattr(store, "store", never)
    assert (await role.handle(batch(None, b"junk"))).refusals[0].record.offset == 1
