"""What every store does seen through its port: one suite for the stores in memory and for PostgreSQL."""

from uuid import uuid4

import pytest

from sinks.ports import PushTarget
from sinks.postgres.dispatch_store import PostgresDispatchStore
from sinks.postgres.event_store import PostgresEventStore
from sinks.postgres.job_store import PostgresJobStore
from sinks.postgres.mark_store import PostgresMarkStore
from sinks.store_values import (
    DispatchAttempt,
    DispatchFailure,
    Enqueued,
    Fate,
    JobResult,
    JobStatus,
    PushLog,
    SourceRefusal,
)
from streams.roles.memory import (
    MemoryDispatchStore,
    MemoryEventStore,
    MemoryJobStore,
    MemoryMarkStore,
    SourceRow,
)
from tests.integration.roles.role_database import RoleDatabase, closing
from tests.unit.roles.role_records import dispatch_row, event_row, push_job, push_template


class InMemory:
    """The stores of `streams.roles.memory` over shared rows."""

    def __init__(self):
        self.now_s = 1000.0
        self.events = MemoryEventStore()
        self.marks = MemoryMarkStore(self.events.sources)
        self.dispatch = MemoryDispatchStore(lambda: self.now_s)
        self.jobs = MemoryJobStore(lambda: self.now_s)

    def source(self, event_id, status="PENDING"):
        source_id = len(self.events.sources) + 1
        self.events.sources[source_id] = SourceRow(event_id, status)
        return source_id

    def source_state(self, source_id):
        source = self.events.sources[source_id]
        return source.status, source.retry_count, source.last_error

    def add_dispatch(self, *dispatch_ids):
        for dispatch_id in dispatch_ids:
            self.dispatch.add(dispatch_row(dispatch_id))

    def dispatch_state(self):
        return [(dispatch.status, dispatch.row.retry_count) for dispatch in self.dispatch.rows.values()]

    def attempts(self):
        return len(self.dispatch.attempts) + len(self.jobs.attempts)

    def subscription(self, subscription_id, member_id=1):
        endpoint = f"https://push.example/{subscription_id}"
        target = PushTarget(subscription_id, endpoint, "p256dh", "auth")
        self.jobs.subscriptions.setdefault(member_id, []).append(target)

    def job(self, job_id, age_s=1.0):
        self.jobs.add(push_job(job_id, event_id=None, age_s=age_s))

    def job_state(self, job_id):
        queued = self.jobs.jobs[job_id]
        return queued.status.value, queued.job.retry_count, queued.last_error

    def let_time_pass(self, seconds):
        self.now_s += seconds


class InPostgres(RoleDatabase):
    """The stores of `sinks.postgres` on a database."""

    def __init__(self, url):
        super().__init__(url)
        self.events = PostgresEventStore(self.connect, dispatch_to_posthog=True)
        self.marks = PostgresMarkStore(self.connect)
        self.dispatch = PostgresDispatchStore(self.connect)
        self.jobs = PostgresJobStore(self.connect)

    def add_dispatch(self, *dispatch_ids):
        for dispatch_id in dispatch_ids:
            self.rows(
                "INSERT INTO user_activity_dispatch_outbox (id, event_id, dispatch_target) OVERRIDING SYSTEM VALUE"
                " VALUES (%s, %s, 'POSTHOG')",
                dispatch_id,
                uuid4(),
            )

    def dispatch_state(self):
        return self.rows("SELECT status, retry_count FROM user_activity_dispatch_outbox ORDER BY id")

    def attempts(self):
        return self.one("SELECT count(*) FROM dispatch_attempts")[0]


@pytest.fixture(
    params=[
        "memory",
        pytest.param("database", marks=pytest.mark.integration),
        pytest.param("database15", marks=pytest.mark.real),
    ]
)
async def world(request):
    if request.param == "memory":
        yield InMemory()
        return
    postgres = InPostgres(request.getfixturevalue(request.param))
    async with closing(postgres.events, postgres.marks, postgres.dispatch, postgres.jobs):
        yield postgres


async def test_events_are_inserted_once(world):
    rows = [event_row(place) for place in range(4)]
    first = await world.events.store(rows, ())
    assert first.fates == (Fate.INSERTED,) * 4
    assert first.enqueue == Enqueued(dispatched=4)
    again = await world.events.store(rows, ())
    assert again.fates == (Fate.REDELIVERED,) * 4
    assert again.enqueue == Enqueued()


async def test_duplicates_and_conflicts_within_and_across_batches(world):
    known = event_row(0)
    await world.events.store([known], ())
    fresh, event_id = event_row(10), known.event.event_id
    report = await world.events.store(
        [
            event_row(9, event_id),
            fresh,
            event_row(11, event_id, payload='{"other":1}'),
            event_row(12, fresh.event.event_id),
            event_row(13, fresh.event.event_id, payload="{}"),
        ],
        (),
    )
    assert report.fates == (Fate.DUPLICATE, Fate.INSERTED, Fate.CONFLICT, Fate.DUPLICATE, Fate.CONFLICT)
    assert report.enqueue == Enqueued(dispatched=1)


async def test_refused_and_conflicting_rows_fail_and_an_accepted_replay_publishes(world):
    refused_id, conflict_id, replayed_id = uuid4(), uuid4(), uuid4()
    refused, replayed = world.source(refused_id), world.source(replayed_id, "FAILED")
    await world.events.store([event_row(0, conflict_id, topic="activity.events")], ())
    conflicting = world.source(conflict_id)
    await world.events.store(
        [
            event_row(1, conflict_id, payload="{}", source_id=conflicting),
            event_row(2, replayed_id, source_id=replayed, reemitted=True),
        ],
        [SourceRefusal(refused, str(refused_id), "not_json: at \x00 and \ud800")],
    )
    status, retry_count, error = world.source_state(refused)
    assert (status, retry_count) == ("FAILED", 1)
    assert error.startswith("not_json")
    assert world.source_state(conflicting)[:2] == ("FAILED", 1)
    assert world.source_state(replayed) == ("PUBLISHED", 0, None)


async def test_a_refusal_of_another_row_with_this_id_touches_nothing(world):
    source_id = world.source(uuid4())
    await world.events.store((), [SourceRefusal(source_id, str(uuid4()), "not_json")])
    assert world.source_state(source_id) == ("PENDING", 0, None)


async def test_marks_publish_pending_rows_only(world):
    pending_id, failed_id, gone_id = uuid4(), uuid4(), uuid4()
    pending, failed = world.source(pending_id), world.source(failed_id, "FAILED")
    seen = [(pending, pending_id), (failed, failed_id), (9999, gone_id), (failed, gone_id)]
    report = await world.marks.publish(seen)
    assert report.published == 1
    assert report.missing == {9999, failed}
    assert world.source_state(pending)[0] == "PUBLISHED"
    assert world.source_state(failed)[0] == "FAILED"
    assert (await world.marks.publish([(pending, pending_id)])).published == 0


def attempt():
    return DispatchAttempt(uuid4(), 1, 1, 0, 200, None, None, 5)


async def test_a_claim_is_exclusive_until_its_lease_ends(world):
    world.add_dispatch(1, 2, 3)
    mine, other = uuid4(), uuid4()
    assert [row.dispatch_id for row in await world.dispatch.claim(mine, limit=2, lease_s=60)] == [1, 2]
    assert [row.dispatch_id for row in await world.dispatch.claim(other, limit=9, lease_s=600)] == [3]
    world.let_time_pass(61)
    assert [row.dispatch_id for row in await world.dispatch.claim(other, limit=9, lease_s=60)] == [1, 2]
    written = await world.dispatch.finish(mine, dispatched=[1, 2], failures=(), released=(), attempt=attempt())
    assert (written, world.attempts()) == (0, 0)
    assert world.dispatch_state() == [("PENDING", 0)] * 3


async def test_results_are_written_and_retries_become_due(world):
    world.add_dispatch(1, 2, 3, 4)
    token = uuid4()
    await world.dispatch.claim(token, limit=9, lease_s=60)
    failures = [DispatchFailure(2, 1, "http_503", 30.0), DispatchFailure(3, 1, "refused \x00", None)]
    written = await world.dispatch.finish(token, dispatched=[1], failures=failures, released=[4], attempt=attempt())
    assert (written, world.attempts()) == (4, 1)
    assert world.dispatch_state() == [("DISPATCHED", 0), ("FAILED", 1), ("FAILED", 1), ("PENDING", 0)]
    assert [row.dispatch_id for row in await world.dispatch.claim(uuid4(), limit=9, lease_s=600)] == [4]
    world.let_time_pass(31)
    (due,) = await world.dispatch.claim(uuid4(), limit=9, lease_s=60)
    assert (due.dispatch_id, due.retry_count) == (2, 1)


def push_log(job_id, subscription_id, delivered=True):
    code = None if delivered else "gone"
    return PushLog(job_id, subscription_id, 2, 1, delivered, 201, code, code, f"job-{job_id}:{subscription_id}")


async def test_a_job_is_claimed_with_template_and_targets(world):
    world.subscription(1)
    world.subscription(2)
    world.subscription(3, member_id=2)
    world.job(1)
    (job,) = await world.jobs.claim(uuid4(), limit=9, lease_s=60)
    assert [target.subscription_id for target in job.targets] == [1, 2]
    assert (job.dedup_key, job.member_id, job.retry_count) == ("job-1", 1, 0)
    assert job.template is not None
    assert job.template.title == push_template().title
    assert 1.0 <= job.age_s < 60.0
    assert await world.jobs.claim(uuid4(), limit=9, lease_s=60) == ()


async def test_jobs_are_claimed_in_the_order_of_their_schedule(world):
    for job_id, age_s in ((1, 10.0), (2, 30.0), (3, 20.0), (4, -30.0)):
        world.job(job_id, age_s=age_s)
    assert [job.job_id for job in await world.jobs.claim(uuid4(), limit=2, lease_s=60)] == [2, 3]
    assert [job.job_id for job in await world.jobs.claim(uuid4(), limit=9, lease_s=60)] == [1]


async def test_a_settled_retry_keeps_final_outcomes_and_waits(world):
    world.subscription(1)
    world.subscription(2)
    world.job(1)
    token = uuid4()
    await world.jobs.claim(token, limit=9, lease_s=60)
    retry = JobResult(1, JobStatus.READY, 1, due_in_s=30.0, last_error="http_503", logs=(push_log(1, 1),))
    assert (await world.jobs.settle(token, [retry])).settled == 1
    assert world.job_state(1) == ("READY", 1, "http_503")
    assert await world.jobs.claim(uuid4(), limit=9, lease_s=60) == ()
    world.let_time_pass(31)
    (job,) = await world.jobs.claim(uuid4(), limit=9, lease_s=60)
    assert [target.subscription_id for target in job.targets] == [2]
    assert (job.retry_count, job.final_before, job.delivered_before) == (1, 1, 1)


async def test_a_held_job_keeps_its_schedule(world):
    world.job(1, age_s=100.0)
    token = uuid4()
    await world.jobs.claim(token, limit=9, lease_s=60)
    await world.jobs.settle(token, [JobResult(1, JobStatus.READY, 0, hold_s=30.0)])
    assert await world.jobs.claim(uuid4(), limit=9, lease_s=60) == ()
    world.let_time_pass(31)
    (job,) = await world.jobs.claim(uuid4(), limit=9, lease_s=60)
    assert job.age_s > 130.0


async def test_retries_do_not_make_a_job_younger(world):
    world.job(1, age_s=100.0)
    for retry_count in (1, 2):
        token = uuid4()
        (job,) = await world.jobs.claim(token, limit=9, lease_s=60)
        await world.jobs.settle(token, [JobResult(1, JobStatus.READY, retry_count, due_in_s=30.0)])
        world.let_time_pass(31)
    (job,) = await world.jobs.claim(uuid4(), limit=9, lease_s=60)
    assert 162.0 <= job.age_s < 200.0


async def test_jobs_that_wait_for_a_service_do_not_keep_new_ones_waiting(world):
    for job_id in range(1, 21):
        world.job(job_id, age_s=1000.0)
    token = uuid4()
    await world.jobs.claim(token, limit=20, lease_s=60)
    held = [JobResult(job_id, JobStatus.READY, 0, hold_s=15.0) for job_id in range(1, 11)]
    tried = [JobResult(job_id, JobStatus.READY, 1, due_in_s=15.0) for job_id in range(11, 21)]
    await world.jobs.settle(token, [*held, *tried])
    world.let_time_pass(16)
    for job_id in range(21, 31):
        world.job(job_id)
    claimed = [job.job_id for job in await world.jobs.claim(uuid4(), limit=10, lease_s=60)]
    assert (len(claimed), sum(job_id > 20 for job_id in claimed)) == (10, 5)
    rest = [job.job_id for job in await world.jobs.claim(uuid4(), limit=100, lease_s=60)]
    assert sorted(claimed + rest) == list(range(1, 31))


async def test_a_claim_of_jobs_leaves_its_attempt_unless_it_was_lost(world):
    world.job(1)
    mine, other = uuid4(), uuid4()
    await world.jobs.claim(mine, limit=9, lease_s=60)
    world.let_time_pass(61)
    await world.jobs.claim(other, limit=9, lease_s=60)
    back = [JobResult(1, JobStatus.READY, 0, hold_s=15.0)]
    await world.jobs.settle(mine, back, attempt())
    assert world.attempts() == 0
    await world.jobs.settle(other, back, attempt())
    assert world.attempts() == 1


async def test_a_lost_lease_writes_nothing(world):
    world.subscription(1)
    world.job(1)
    mine, other = uuid4(), uuid4()
    await world.jobs.claim(mine, limit=9, lease_s=60)
    world.let_time_pass(61)
    (job,) = await world.jobs.claim(other, limit=9, lease_s=60)
    late = JobResult(1, JobStatus.FAILED, 0, logs=(push_log(1, 1, False),), disabled={1: "gone"})
    assert (await world.jobs.settle(mine, [late])).settled == 0
    assert world.job_state(1)[0] == "LOCKED"
    done = JobResult(job.job_id, JobStatus.DONE, 0, logs=(push_log(1, 1),))
    report = await world.jobs.settle(other, [done])
    assert (report.settled, report.log_conflicts, report.disabled) == (1, 0, 0)


async def test_a_gone_subscription_is_no_target_any_more(world):
    world.subscription(1)
    world.job(1)
    token = uuid4()
    await world.jobs.claim(token, limit=9, lease_s=60)
    result = JobResult(1, JobStatus.FAILED, 0, logs=(push_log(1, 1, False),), disabled={1: "gone: HTTP 410"})
    report = await world.jobs.settle(token, [result])
    assert (report.settled, report.disabled) == (1, 1)
    world.job(2)
    (job,) = await world.jobs.claim(uuid4(), limit=9, lease_s=60)
    assert job.targets == ()


async def test_settling_nothing_writes_nothing(world):
    report = await world.jobs.settle(uuid4(), [])
    assert (report.settled, report.log_conflicts, report.disabled) == (0, 0, 0)
