"""The push role: one final outcome per job and subscription, whatever happens on the way."""

import asyncio
from itertools import count
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from sinks.outcomes import Delivered, Gone, Outcome, RetryAfter
from sinks.store_values import JobStatus
from streams.roles.claim_loop import Idle, More
from streams.roles.memory import MemoryJobStore
from streams.roles.push import WRITE_S, ClaimPolicy, PushRole
from streams.roles.push_decisions import PushPolicy
from streams.roles.rendering import topic_of
from tests.unit.roles.role_records import batch, push_job, push_target


class ScriptedSender:
    """Answers by subscription; remembers what it was given and how many were in flight at once."""

    outcome: Outcome = Delivered(201)

    def __init__(self):
        self.by_subscription = {}
        self.sent = []
        self.in_flight = self.most_in_flight = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def send(self, subscription, message):
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
        finally:
            self.in_flight -= 1
        self.sent.append((subscription.subscription_id, message))
        return self.by_subscription.get(subscription.subscription_id, self.outcome)


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
    return MemoryJobStore(clock)


@pytest.fixture
def sender():
    return ScriptedSender()


def make_role(store, sender, clock, **more):
    tokens = (UUID(int=place) for place in count(1))
    arguments = {
        "policy": PushPolicy(ttl_s=600, max_retry=2),
        "delay_s": lambda attempt: 10.0 * attempt,
        "new_token": lambda: next(tokens),
        "clock_s": clock,
        "dice": lambda: 0.0,
        "claims": ClaimPolicy(jobs=50, lease_s=60.0, concurrency=4),
        **more,
    }
    return PushRole(store, sender, **arguments)


@pytest.fixture
def role(store, sender, clock):
    return make_role(store, sender, clock)


def subscribe(store, *subscription_ids, member_id=1):
    store.subscriptions[member_id] = [push_target(subscription_id) for subscription_id in subscription_ids]


async def test_a_job_goes_to_every_subscription_once(role, store, sender):
    subscribe(store, 1, 2)
    store.add(push_job())
    assert await role.step() == More()
    assert await role.step() == Idle()
    assert sorted(subscription_id for subscription_id, _ in sender.sent) == [1, 2]
    assert {message.topic for _, message in sender.sent} == {topic_of("job-1")}
    assert {key: log.delivered for key, log in store.logs.items()} == {"job-1:1": True, "job-1:2": True}
    assert store.jobs[1].status is JobStatus.DONE


async def test_a_retry_leaves_out_whoever_has_it_already(role, store, sender, clock):
    subscribe(store, 1, 2)
    store.add(push_job())
    sender.by_subscription[2] = RetryAfter(None, 503, "http_503")
    await role.step()
    assert store.jobs[1].status is JobStatus.READY
    assert await role.step() == Idle()
    clock.now_s += 10.0
    sender.by_subscription.clear()
    await role.step()
    assert [subscription_id for subscription_id, _ in sender.sent] == [1, 2, 2]
    assert store.jobs[1].status is JobStatus.DONE
    assert len(store.logs) == 2


async def test_a_dead_subscription_is_disabled_and_never_sent_to_again(role, store, sender):
    subscribe(store, 1)
    sender.outcome = Gone(410)
    store.add(push_job(1))
    await role.step()
    assert (store.jobs[1].status, store.jobs[1].last_error) == (JobStatus.FAILED, "all subscriptions gone")
    assert store.disabled == {1: "gone: HTTP 410"}
    store.add(push_job(2))
    await role.step()
    assert len(sender.sent) == 1
    assert store.jobs[2].status is JobStatus.CANCELLED


async def test_held_back_jobs_wait_without_using_up_retries_until_they_expire(role, store, sender, clock):
    subscribe(store, 1)
    store.add(push_job(age_s=0.0))
    sender.outcome = RetryAfter(50.0, None, "circuit_open")
    for _ in range(15):
        await role.step()
        clock.now_s += 50.1
    queued = store.jobs[1]
    assert (queued.status, queued.job.retry_count) == (JobStatus.FAILED, 0)
    assert store.logs["job-1:1"].error_code == "expired"


async def test_no_more_messages_are_in_flight_than_allowed(role, store, sender):
    subscribe(store, *range(1, 21))
    store.add(push_job())
    await role.step()
    assert sender.most_in_flight == 4
    assert len(store.logs) == 20


async def test_near_the_end_of_the_lease_the_rest_is_given_back(role, store, sender, clock):
    subscribe(store, *range(1, 11))
    store.add(push_job())
    sender.gate.clear()
    stepping = asyncio.create_task(role.step())
    while sender.in_flight < 4:
        await asyncio.sleep(0)
    clock.now_s += 50.0
    sender.gate.set()
    await stepping
    assert len(store.logs) == 4
    assert (store.jobs[1].status, store.jobs[1].job.retry_count) == (JobStatus.READY, 0)
    clock.now_s += 1.0
    await role.step()
    assert len(store.logs) == 10
    assert store.jobs[1].status is JobStatus.DONE


async def test_cancelled_it_writes_what_was_sent_and_gives_back_the_rest(role, store, sender):
    subscribe(store, *range(1, 9))
    store.add(push_job())
    original = sender.send

    async def half(subscription, message):
        if subscription.subscription_id > 4:
            await asyncio.Event().wait()
        return await original(subscription, message)

    sender.send = half
    stepping = asyncio.create_task(role.step())
    while len(sender.sent) < 4:
        await asyncio.sleep(0)
    stepping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stepping
    assert len(store.logs) == 4
    assert (store.jobs[1].status, store.jobs[1].token) == (JobStatus.READY, None)


async def test_a_claim_lost_meanwhile_writes_nothing(role, store, sender, clock):
    subscribe(store, 1)
    store.add(push_job())
    other = uuid4()
    original = sender.send

    async def slow(subscription, message):
        clock.now_s += 61.0
        await store.claim(other, limit=10, lease_s=60.0)
        return await original(subscription, message)

    sender.send = slow
    with capture_logs() as logs:
        await role.step()
    assert store.logs == {}
    assert store.attempts == []
    assert store.jobs[1].token == other
    assert [entry["jobs"] for entry in logs if entry["event"] == "push.claim_lost"] == [1]


async def test_a_lease_that_ran_out_is_claimed_again(role, store, sender, clock):
    subscribe(store, 1)
    store.add(push_job())
    await store.claim(uuid4(), limit=10, lease_s=60.0)
    assert await role.step() == Idle()
    clock.now_s += 60.1
    await role.step()
    assert store.jobs[1].status is JobStatus.DONE


async def test_a_defect_of_the_sender_ends_the_role_after_the_write(role, store, sender):
    subscribe(store, 1)
    store.add(push_job())

    async def defective(subscription, message):
        raise LookupError("defect")

    sender.send = defective
    with pytest.raises(LookupError):
        await role.step()
    assert store.jobs[1].status is JobStatus.READY


async def test_a_defect_of_one_send_forgets_nothing_that_was_taken(role, store, sender):
    subscribe(store, 1, 2, 3, 4)
    store.add(push_job())
    original, failed = sender.send, asyncio.Event()

    async def one_defect(subscription, message):
        if subscription.subscription_id == 2:
            failed.set()
            raise LookupError("defect")
        await failed.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        return await original(subscription, message)

    sender.send = one_defect
    with pytest.raises(LookupError):
        await role.step()
    assert sorted(store.logs) == ["job-1:1", "job-1:3", "job-1:4"]
    assert (store.jobs[1].status, store.jobs[1].token) == (JobStatus.READY, None)
    with pytest.raises(LookupError):
        await role.step()


async def test_a_defect_in_one_lane_lets_the_other_write_its_claim(store, sender, clock):
    role = make_role(store, sender, clock, lanes=2, claims=ClaimPolicy(jobs=1, lease_s=60.0, concurrency=4))
    subscribe(store, 1)
    store.subscriptions[2] = [push_target(2)]
    store.add(push_job(1))
    store.add(push_job(2, member_id=2))
    original, both, failed = sender.send, asyncio.Barrier(2), asyncio.Event()

    async def one_defect(subscription, message):
        await both.wait()
        if subscription.subscription_id == 2:
            failed.set()
            raise LookupError("defect")
        await failed.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        return await original(subscription, message)

    sender.send = one_defect
    async with asyncio.timeout(5):
        with pytest.raises(LookupError):
            await role.background()
    assert list(store.logs) == ["job-1:1"]
    assert store.jobs[1].status is JobStatus.DONE


async def test_a_claim_leaves_one_attempt_row_even_when_nothing_becomes_final(role, store, sender, clock):
    subscribe(store, 1, 2)
    store.add(push_job())
    sender.by_subscription = {1: RetryAfter(9.0, None, "circuit_open"), 2: RetryAfter(None, 503, "http_503")}
    await role.step()
    assert store.logs == {}
    (attempt,) = store.attempts
    assert (attempt.attempted, attempt.succeeded, attempt.failed) == (2, 0, 2)
    assert attempt.batch_id == UUID(int=1)
    assert await role.step() == Idle()
    assert len(store.attempts) == 1


async def test_an_outage_shows_in_attempts_for_as_long_as_it_lasts(role, store, sender, clock):
    subscribe(store, 1)
    store.add(push_job(age_s=0.0))
    sender.outcome = RetryAfter(1.0, None, "circuit_open")
    for _ in range(120):
        await role.step()
        clock.now_s += 1.0
    assert 5 <= len(store.attempts) <= 8, "shown, but not every second: a hold has a floor"
    assert {attempt.error_code for attempt in store.attempts} == {"circuit_open"}


async def test_a_send_that_waits_in_the_sender_does_not_outlive_the_lease(store, sender, clock):
    role = make_role(store, sender, clock, claims=ClaimPolicy(lease_s=WRITE_S + 0.06, timeout_s=0.01))
    subscribe(store, 1)
    store.add(push_job())
    sender.gate.clear()
    async with asyncio.timeout(5):
        assert await role.step() == More()
    assert sender.sent == []
    assert (store.jobs[1].status, store.jobs[1].job.retry_count, store.logs) == (JobStatus.READY, 0, {})


@pytest.mark.parametrize("timeout_s", [0.1, 10.0, 60.0, 300.0])
def test_a_lease_is_longer_than_a_request_that_begins_last_and_the_write(timeout_s):
    claims = ClaimPolicy.for_timeout(timeout_s, 7)
    assert claims.concurrency == 7
    assert claims.begin_within_s + timeout_s + WRITE_S <= claims.lease_s
    assert claims.begin_within_s >= 60.0


def test_a_lease_that_leaves_no_time_to_send_is_refused():
    with pytest.raises(ValueError, match="too short"):
        ClaimPolicy(lease_s=120.0, timeout_s=300.0)


async def test_records_only_wake(store, sender, clock):
    role = make_role(store, sender, clock, lanes=2)
    running = asyncio.create_task(role.background())
    await asyncio.sleep(0)
    subscribe(store, 1)
    store.add(push_job())
    assert (await role.handle(batch(b"whatever"))).refusals == ()
    async with asyncio.timeout(5):
        while not store.logs:
            await asyncio.sleep(0)
    running.cancel()


async def test_switched_off_it_claims_nothing_and_says_so_once(store, sender, clock):
    role = make_role(store, sender, clock, enabled=False)
    subscribe(store, 1)
    store.add(push_job())
    with capture_logs() as logs:
        running = asyncio.create_task(role.background())
        await role.handle(batch(b"x"))
        for _ in range(5):
            await asyncio.sleep(0)
    running.cancel()
    assert store.jobs[1].status is JobStatus.READY
    assert [entry["event"] for entry in logs] == ["push.disabled"]
