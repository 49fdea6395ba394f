"""Claims on PostgreSQL: side by side, after a crash, with renewed subscriptions; and the rows they leave behind."""

import asyncio
from uuid import uuid4

import psycopg
import pytest

from sinks.postgres.dispatch_store import PostgresDispatchStore
from sinks.postgres.event_store import PostgresEventStore
from sinks.postgres.job_store import PostgresJobStore
from sinks.postgres.statements import statement
from sinks.store_values import DispatchAttempt, DispatchFailure, JobResult, JobStatus, PushLog
from tests.integration.roles.role_database import RoleDatabase, closing
from tests.unit.roles.role_records import event_row

pytestmark = pytest.mark.integration


@pytest.fixture
def world(database):
    return RoleDatabase(database)


@pytest.fixture
async def jobs(world):
    async with closing(PostgresJobStore(world.connect)) as store:
        yield store


@pytest.fixture
async def dispatch(world):
    async with closing(PostgresDispatchStore(world.connect)) as store:
        yield store


async def stored_events(world, count):
    rows = [event_row(place, payload='{"groupId":7}', session_id="s-1") for place in range(count)]
    async with closing(PostgresEventStore(world.connect, dispatch_to_posthog=True)) as events:
        await events.store(rows, ())
    return rows


async def test_two_claimers_never_share_a_row(world):
    await stored_events(world, 300)
    stores = [PostgresDispatchStore(world.connect) for _ in range(3)]

    async def drain(store):
        claimed = []
        while rows := await store.claim(uuid4(), limit=20, lease_s=60):
            claimed += [row.dispatch_id for row in rows]
        return claimed

    async with closing(*stores):
        shares = await asyncio.gather(*map(drain, stores))
    together = [dispatch_id for share in shares for dispatch_id in share]
    assert len(together) == len(set(together)) == 300


async def test_two_pushers_never_share_a_job(world):
    for job_id in range(1, 101):
        world.job(job_id)
    stores = [PostgresJobStore(world.connect) for _ in range(2)]

    async def drain(store):
        claimed = []
        while found := await store.claim(uuid4(), limit=7, lease_s=60):
            claimed += [job.job_id for job in found]
        return claimed

    async with closing(*stores):
        shares = await asyncio.gather(*map(drain, stores))
    assert sorted(job_id for share in shares for job_id in share) == list(range(1, 101))


async def test_a_claimed_row_brings_its_event(world, dispatch):
    (row,) = await stored_events(world, 1)
    (claimed,) = await dispatch.claim(uuid4(), limit=9, lease_s=60)
    assert (claimed.event_id, claimed.event_name, claimed.member_id) == (row.event.event_id, "group.created", 1)
    assert (claimed.occurred_at, claimed.properties) == (row.event.occurred_at, '{"groupId": 7}')
    assert (claimed.session_id, claimed.partition_key, claimed.event_version) == ("s-1", "member:1", 1)


async def test_a_row_whose_event_is_gone_is_claimed_without_it(world, dispatch):
    await stored_events(world, 1)
    world.rows("DELETE FROM user_activity_event")
    (claimed,) = await dispatch.claim(uuid4(), limit=9, lease_s=60)
    assert (claimed.event_name, claimed.properties) == (None, None)


async def test_a_claimer_that_died_leaves_its_rows_to_the_next(world, dispatch):
    await stored_events(world, 5)
    dying = PostgresDispatchStore(world.connect)
    await dying.claim(uuid4(), limit=9, lease_s=60)
    await dying.close()
    assert await dispatch.claim(uuid4(), limit=9, lease_s=60) == ()
    world.let_time_pass(61)
    assert len(await dispatch.claim(uuid4(), limit=9, lease_s=60)) == 5


async def test_retries_do_not_keep_new_rows_waiting(world, dispatch):
    await stored_events(world, 20)
    token = uuid4()
    rows = await dispatch.claim(token, limit=10, lease_s=60)
    failures = [DispatchFailure(row.dispatch_id, 1, "http_503", 1.0) for row in rows]
    await dispatch.finish(token, dispatched=(), failures=failures, released=(), attempt=None)
    world.let_time_pass(2)
    mixed = await dispatch.claim(uuid4(), limit=8, lease_s=60)
    assert sorted(row.retry_count for row in mixed) == [0, 0, 0, 0, 1, 1, 1, 1]


async def test_an_attempt_row_says_what_was_sent(world, dispatch):
    await stored_events(world, 2)
    token, batch_id = uuid4(), uuid4()
    first, second = await dispatch.claim(token, limit=9, lease_s=60)
    attempt = DispatchAttempt(batch_id, 2, 1, 1, 503, "http_503", "try\x00later", 1500)
    failure = DispatchFailure(second.dispatch_id, 1, "http_503: HTTP 503", 30.0)
    await dispatch.finish(token, dispatched=[first.dispatch_id], failures=[failure], released=(), attempt=attempt)
    columns = (
        "dispatch_target, batch_id, attempted, succeeded, failed, http_status, error_code, error_message, duration_ms"
    )
    assert world.rows(f"SELECT {columns} FROM dispatch_attempts") == [
        ("POSTHOG", batch_id, 2, 1, 1, 503, "http_503", "try\\x00later", 1500)
    ]
    assert world.one("SELECT created_at - started_at >= interval '1.5 s' FROM dispatch_attempts") == (True,)
    states = "SELECT status, dispatched_at IS NOT NULL, next_retry_at > now(), last_error, claim_token, claimed_until"
    assert world.rows(f"{states} FROM user_activity_dispatch_outbox ORDER BY id") == [
        ("DISPATCHED", True, None, None, None, None),
        ("FAILED", False, True, "http_503: HTTP 503", None, None),
    ]


def log(job_id, subscription_id, code=None):
    key = f"job-{job_id}:{subscription_id}"
    return PushLog(job_id, subscription_id, 2, 1, code is None, 410 if code else 201, code, code, key)


async def test_a_settled_job_leaves_logs_and_a_disabled_subscription(world, jobs):
    world.subscription(1)
    world.subscription(2)
    world.job(1)
    token = uuid4()
    await jobs.claim(token, limit=9, lease_s=60)
    result = JobResult(
        1, JobStatus.DONE, 0, last_error="gone", logs=(log(1, 1), log(1, 2, "gone")), disabled={2: "gone: HTTP 410"}
    )
    report = await jobs.settle(token, [result])
    assert (report.settled, report.log_conflicts, report.disabled) == (1, 0, 1)
    columns = "subscription_id, status, http_status, error_code, dedup_key"
    assert world.rows(f"SELECT {columns} FROM push_message_logs ORDER BY subscription_id") == [
        (1, "DELIVERED", 201, None, "job-1:1"),
        (2, "FAILED", 410, "gone", "job-1:2"),
    ]
    states = "SELECT enabled_yn, disabled_reason, disabled_at IS NOT NULL FROM push_subscription ORDER BY id"
    assert world.rows(states) == [(1, None, False), (0, "gone: HTTP 410", True)]
    assert world.job_state(1) == ("DONE", 0, "gone")


async def test_a_subscription_renewed_while_it_was_sent_to_stays_enabled(world, jobs):
    world.subscription(1)
    world.job(1)
    token = uuid4()
    await jobs.claim(token, limit=9, lease_s=60)
    world.rows("UPDATE push_subscription SET p256dh = 'renewed', updated_at = now()")
    result = JobResult(1, JobStatus.FAILED, 0, logs=(log(1, 1, "gone"),), disabled={1: "gone: HTTP 410"})
    assert (await jobs.settle(token, [result])).disabled == 0
    assert world.one("SELECT enabled_yn FROM push_subscription") == (1,)


async def test_a_log_that_is_there_already_stands_and_is_counted(world, jobs):
    world.subscription(1)
    world.job(1)
    token = uuid4()
    await jobs.claim(token, limit=9, lease_s=60)
    world.rows(
        "INSERT INTO push_message_logs (job_id, subscription_id, template_id, member_id, status, dedup_key)"
        " VALUES (1, 1, 2, 1, 'DELIVERED', 'job-1:1')"
    )
    report = await jobs.settle(token, [JobResult(1, JobStatus.FAILED, 0, logs=(log(1, 1, "x"),))])
    assert (report.settled, report.log_conflicts) == (1, 1)
    assert world.rows("SELECT status FROM push_message_logs") == [("DELIVERED",)]


async def test_a_lost_claim_disables_nobody(world, jobs):
    world.subscription(1)
    world.job(1)
    mine = uuid4()
    await jobs.claim(mine, limit=9, lease_s=60)
    world.rows("UPDATE notify_jobs SET status = 'READY', locked_until = NULL")
    result = JobResult(1, JobStatus.FAILED, 0, logs=(log(1, 1, "gone"),), disabled={1: "gone"})
    report = await jobs.settle(mine, [result])
    assert (report.settled, report.disabled) == (0, 0)
    assert world.one("SELECT count(*) FROM push_message_logs") == (0,)
    assert world.one("SELECT enabled_yn FROM push_subscription") == (1,)


async def test_an_attempt_of_push_names_its_target(world, jobs):
    world.job(1)
    token = uuid4()
    await jobs.claim(token, limit=9, lease_s=60)
    attempt = DispatchAttempt(token, 3, 1, 2, None, "circuit_open", "push\x00example", 40)
    await jobs.settle(token, [JobResult(1, JobStatus.READY, 0, hold_s=15.0)], attempt)
    columns = "dispatch_target, batch_id, attempted, succeeded, failed, http_status, error_code, error_message"
    assert world.rows(f"SELECT {columns} FROM dispatch_attempts") == [
        ("WEB_PUSH", token, 3, 1, 2, None, "circuit_open", "push\\x00example")
    ]


async def test_a_job_set_back_by_hand_is_as_old_as_its_new_schedule(world, jobs):
    world.job(1, age_s=500.0)
    token = uuid4()
    await jobs.claim(token, limit=9, lease_s=60)
    await jobs.settle(token, [JobResult(1, JobStatus.READY, 1, due_in_s=30.0)])
    world.rows("UPDATE notify_jobs SET retry_count = 0, scheduled_at = now() - interval '1 s', locked_until = NULL")
    (job,) = await jobs.claim(uuid4(), limit=9, lease_s=60)
    assert job.age_s < 100.0


def test_a_claim_reads_both_of_its_indexes_in_a_long_history(world):
    world.rows(
        "INSERT INTO notify_jobs (template_id, member_id, dedup_key, status, locked_until)"
        " SELECT 2, i, 'h-' || i, CASE WHEN mod(i, 50) = 0 THEN 'READY' ELSE 'DONE' END,"
        " CASE WHEN mod(i, 100) = 0 THEN now() END FROM generate_series(1, 20000) AS i"
    )
    world.rows("ANALYZE notify_jobs")
    with psycopg.connect(world.url) as connection:
        cursor = psycopg.ClientCursor(connection)
        query = cursor.mogrify(statement("claim_jobs"), {"token": uuid4(), "limit": 100, "lease_s": 60})
        plan = "\n".join(line for (line,) in cursor.execute("EXPLAIN " + query))
    assert "using notify_jobs_fresh" in plan
    assert "using notify_jobs_waited" in plan
    assert "Seq Scan on notify_jobs" not in plan


async def test_a_lock_without_a_lease_is_left_to_operators(world, jobs):
    """000 L44: old LOCKED jobs are unlocked by hand; a lock that is not ours has no lease that could run out."""
    world.job(1)
    world.rows("UPDATE notify_jobs SET status = 'LOCKED'")
    assert await jobs.claim(uuid4(), limit=9, lease_s=60) == ()
    world.rows("UPDATE notify_jobs SET status = 'READY'")
    assert len(await jobs.claim(uuid4(), limit=9, lease_s=60)) == 1
