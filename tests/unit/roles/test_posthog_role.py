"""The posthog role: DISPATCHED only on proof, breaker respected, claims given back."""

import asyncio
from itertools import count
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from schemas.runbook_messages import DISPATCH_FAILED, DISPATCH_PAYLOAD_UNREADABLE
from sinks.breaker import Admitted, BreakerSettings, Rejected
from sinks.circuit import Circuit
from sinks.outcomes import Delivered, Outcome, Refused, RetryAfter, Unauthorised
from sinks.ports import BatchOutcome
from sinks.store_errors import StoreUnavailable
from streams.roles.claim_loop import Hold, Idle, More
from streams.roles.memory import MemoryDispatchStore
from streams.roles.posthog import PostHogPolicy, PostHogRole
from tests.unit.roles.role_records import batch, dispatch_row


class ScriptedSink:
    """Answers every event with `outcome`, or by its place; remembers what it was given."""

    outcome: Outcome = Delivered(200)

    def __init__(self):
        self.by_place = {}
        self.batches = []
        self.raises = None

    async def send_batch(self, events):
        self.batches.append(list(events))
        if self.raises is not None:
            raise self.raises
        outcomes = [self.by_place.get(place, self.outcome) for place in range(len(events))]
        return BatchOutcome(outcomes, 200, None, None, 12, 1)


class Clock:
    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(clock):
    return MemoryDispatchStore(clock)


@pytest.fixture
def sink():
    return ScriptedSink()


@pytest.fixture
def gate(clock):
    return Circuit("POSTHOG", BreakerSettings(minimum_calls=2), clock=clock, dice=lambda: 0.0)


@pytest.fixture
def role(store, sink, gate):
    tokens = (UUID(int=place) for place in count(1))
    return PostHogRole(
        store,
        sink,
        gate,
        policy=PostHogPolicy(batch_size=10, lease_s=60.0, max_retry=2),
        delay_s=lambda attempt: 5.0 * attempt,
        new_token=lambda: next(tokens),
    )


def executed(result):
    labels = {"result": result, "target": "POSTHOG"}
    return REGISTRY.get_sample_value("analytics_user_activity_dispatch_execute_total", labels) or 0.0


def fill(store, rows=3, **columns):
    for place in range(rows):
        store.add(dispatch_row(place, **columns))


async def test_delivered_rows_are_dispatched_and_the_batch_is_logged(role, store, sink):
    fill(store)
    before = executed("success")
    assert await role.step() == More()
    assert {dispatch.status for dispatch in store.rows.values()} == {"DISPATCHED"}
    (attempt,) = store.attempts
    assert (attempt.attempted, attempt.succeeded, attempt.failed, attempt.duration_ms) == (3, 3, 0, 12)
    assert [event.uuid for event in sink.batches[0]] == [dispatch.row.event_id for dispatch in store.rows.values()]
    assert executed("success") == before + 3


async def test_with_nothing_due_it_waits(role, store):
    assert await role.step() == Idle()
    assert store.attempts == []


async def test_failures_are_scheduled_logged_and_tried_again_when_due(role, store, sink, clock):
    fill(store, 1)
    sink.outcome = RetryAfter(None, 503, "http_503")
    with capture_logs() as logs:
        await role.step()
    row = store.rows[0]
    assert (row.status, row.row.retry_count, row.due_s, row.last_error) == (
        "FAILED",
        1,
        clock.now_s + 5.0,
        "http_503: HTTP 503",
    )
    assert [entry["scheduled"] for entry in logs if entry.get("message") == DISPATCH_FAILED] == [1]
    assert await role.step() == Idle()
    clock.now_s += 5.0
    sink.outcome = Delivered(200)
    await role.step()
    assert row.status == "DISPATCHED"
    assert [(attempt.succeeded, attempt.failed) for attempt in store.attempts] == [(0, 1), (1, 0)]


async def test_used_up_retries_end_in_failed(role, store, sink, clock):
    fill(store, 1, retry_count=2)
    sink.outcome = RetryAfter(None, 400, "bad_request")
    await role.step()
    clock.now_s += 1e6
    assert await role.step() == Idle()
    assert (store.rows[0].status, store.rows[0].due_s) == ("FAILED", None)


async def test_an_outage_of_hours_loses_nothing(role, store, sink, clock):
    fill(store, 5)
    sink.outcome = RetryAfter(None, 503, "http_503")
    for _ in range(500):
        await role.step()
        clock.now_s += 30.0
    assert len(sink.batches) > 100
    assert {dispatch.status for dispatch in store.rows.values()} == {"FAILED"}
    assert None not in {dispatch.due_s for dispatch in store.rows.values()}
    assert {dispatch.last_error for dispatch in store.rows.values()} == {"http_503: HTTP 503"}
    sink.outcome = Delivered(200)
    clock.now_s += 100.0
    await role.step()
    assert {dispatch.status for dispatch in store.rows.values()} == {"DISPATCHED"}


async def test_one_bad_event_fails_alone(role, store, sink):
    fill(store)
    sink.by_place[1] = Refused("event_too_large")
    await role.step()
    assert [dispatch.status for dispatch in store.rows.values()] == ["DISPATCHED", "FAILED", "DISPATCHED"]


async def test_an_event_that_cannot_be_mapped_fails_for_good(role, store, sink):
    store.add(dispatch_row(1, properties="[]"))
    with capture_logs() as logs:
        await role.step()
    assert (store.rows[1].status, store.rows[1].due_s) == ("FAILED", None)
    assert [entry["log_level"] for entry in logs if entry.get("message") == DISPATCH_PAYLOAD_UNREADABLE] == ["error"]
    assert sink.batches == []
    assert store.attempts == []


async def test_an_open_breaker_leaves_the_rows_and_uses_up_nothing(role, store, sink, clock):
    fill(store, 3)
    sink.outcome = RetryAfter(None, 503)
    for _ in range(2):
        await role.step()
        clock.now_s += 10.0
        for dispatch in store.rows.values():
            dispatch.due_s = 0.0
    sent = len(sink.batches)
    clock.now_s -= 10.0
    held = await role.step()
    assert isinstance(held, Hold)
    assert held.seconds > 0
    assert len(sink.batches) == sent
    assert {dispatch.token for dispatch in store.rows.values()} == {None}
    assert {dispatch.row.retry_count for dispatch in store.rows.values()} == {1}


async def test_after_the_open_time_one_probe_closes_the_breaker(role, store, sink, gate, clock):
    fill(store, 3)
    gate.hold(60.0)
    assert isinstance(await role.step(), Hold)
    clock.now_s += 61.0
    assert await role.step() == More()
    assert isinstance(gate.admit(), Admitted)
    assert {dispatch.status for dispatch in store.rows.values()} == {"DISPATCHED"}


async def test_a_wrong_token_pauses_the_target_and_keeps_the_retries(role, store, sink, gate):
    fill(store, 2)
    sink.outcome = Unauthorised(401, "invalid_token")
    await role.step()
    assert {(dispatch.status, dispatch.row.retry_count) for dispatch in store.rows.values()} == {("FAILED", 0)}
    assert isinstance(gate.admit(), Rejected)


async def test_a_cancelled_send_gives_the_claim_back(role, store, sink):
    fill(store)
    sink.raises = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await role.step()
    assert {dispatch.token for dispatch in store.rows.values()} == {None}
    assert {dispatch.status for dispatch in store.rows.values()} == {"PENDING"}


async def test_a_claim_lost_meanwhile_writes_nothing(role, store, sink, clock):
    fill(store, 2)
    other = uuid4()

    async def slow(events):
        clock.now_s += 61.0
        await store.claim(other, limit=10, lease_s=60.0)
        return BatchOutcome([Delivered(200)] * len(events), 200, None, None, 61_000, 1)

    sink.send_batch = slow
    await role.step()
    assert {(dispatch.status, dispatch.token) for dispatch in store.rows.values()} == {("PENDING", other)}
    assert store.attempts == []


async def test_records_only_wake(role, store, sink):
    running = asyncio.create_task(role.background())
    await asyncio.sleep(0)
    fill(store)
    handled = await role.handle(batch(b"whatever", None))
    async with asyncio.timeout(5):
        while not store.attempts:
            await asyncio.sleep(0)
    running.cancel()
    assert handled.refusals == ()


async def test_an_unavailable_store_is_told_to_the_loop(role, store):
    store.unavailable = StoreUnavailable(None, "down")
    with pytest.raises(StoreUnavailable):
        await role.step()


async def test_switched_off_it_claims_nothing(store, sink, gate):
    role = PostHogRole(
        store,
        sink,
        gate,
        policy=PostHogPolicy(),
        delay_s=lambda attempt: 1.0,
        new_token=uuid4,
        enabled=False,
    )
    fill(store)
    with capture_logs() as logs:
        running = asyncio.create_task(role.background())
        await role.handle(batch(b"x"))
        for _ in range(5):
            await asyncio.sleep(0)
    running.cancel()
    assert sink.batches == []
    assert [entry["event"] for entry in logs] == ["posthog.disabled"]
