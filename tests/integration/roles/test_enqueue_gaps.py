"""Failed enqueuing on PostgreSQL: the events stay, a gap is kept, the repair closes it, whenever that is."""

import asyncio

import psycopg
import pytest

from schemas.avro import AvroCodec
from sinks.postgres.event_store import PostgresEventStore
from sinks.repair_values import NoGap
from sinks.store_values import Enqueued, EnqueueFailed, Fate
from streams.roles.activity import ActivityRole, RepairPace
from streams.roles.memory import MemorySchemas
from tests.integration.roles.role_database import RoleDatabase, closing
from tests.unit.roles.role_records import ALLOWED, AVRO, event_row

pytestmark = pytest.mark.integration

CANARY = "kim-minji@example.com"
GAPS = "SELECT count(*) FROM user_activity_enqueue_gap"
COUNTS = "SELECT (SELECT count(*) FROM user_activity_dispatch_outbox), (SELECT count(*) FROM notify_jobs)"


@pytest.fixture
def world(database):
    """A database with a rule, in which enqueuing a job raises, as a trigger of the application might."""
    world = RoleDatabase(database)
    world.rows("INSERT INTO notify_rules (event_name, template_id) VALUES ('group.created', 2)")
    world.rows(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'queue is closed'; END $$"
    )
    world.rows("CREATE TRIGGER refuse BEFORE INSERT ON notify_jobs FOR EACH ROW EXECUTE FUNCTION refuse()")
    return world


def mend(world):
    world.rows("DROP TRIGGER refuse ON notify_jobs")


def events_store(world, *, posthog=True):
    return PostgresEventStore(world.connect, dispatch_to_posthog=posthog)


@pytest.fixture
async def store(world):
    async with closing(events_store(world)) as opened:
        yield opened


async def repaired(store, limit=100):
    """Every step until no gap is left."""
    steps = []
    while not isinstance(step := await store.repair(limit=limit), NoGap):
        steps.append(step)
    return steps


async def test_when_enqueuing_fails_the_events_stay_and_the_repair_catches_up_in_chunks(world, store):
    report = await store.store([event_row(place) for place in range(3)], ())
    assert report.fates == (Fate.INSERTED,) * 3
    assert isinstance(report.enqueue, EnqueueFailed)
    assert "queue is closed" in report.enqueue.error
    assert world.one("SELECT count(*) FROM user_activity_event") == (3,)
    assert world.one(COUNTS) == (0, 0)
    assert isinstance(await store.repair(limit=2), EnqueueFailed)
    assert world.one(GAPS) == (1,)
    mend(world)
    assert await repaired(store, limit=2) == [Enqueued(2, 0, 2), Enqueued(1, 0, 1)]
    assert world.one(COUNTS) == (3, 3)
    assert world.one(GAPS) == (0,)


async def test_a_failure_of_hours_is_repaired_by_a_worker_that_starts_after_it(world):
    async with closing(events_store(world)) as before:
        for place in range(6):
            await before.store([event_row(place)], ())
    world.rows("UPDATE notify_rules SET updated_at = now() - interval '2 days'")
    world.rows("UPDATE push_templates SET updated_at = now() - interval '2 days'")
    world.rows("UPDATE user_activity_event SET stored_at = stored_at - interval '1 day'")
    mend(world)
    async with closing(events_store(world)) as after:
        role = ActivityRole(
            after, AvroCodec({"activity-event": 1}), MemorySchemas(), allowed=ALLOWED, avro_topic=AVRO,
            repair=RepairPace(every_s=60.0, between_s=0.0),
        )  # fmt: skip
        repairing = asyncio.create_task(role.background())
        async with asyncio.timeout(20):
            while world.one(GAPS) != (0,):
                await asyncio.sleep(0.01)
        repairing.cancel()
        await asyncio.gather(repairing, return_exceptions=True)
    assert world.one(COUNTS) == (6, 6)


async def test_events_stored_while_posthog_was_off_are_not_sent_later(world):
    async with closing(events_store(world, posthog=False)) as off:
        await off.store([event_row(0)], ())
    async with closing(events_store(world)) as on:
        await on.store([event_row(1)], ())
        mend(world)
        assert await repaired(on) == [Enqueued(jobs=1), Enqueued(dispatched=1, jobs=1)]
    assert world.one(COUNTS) == (1, 2)


async def test_events_owed_to_posthog_are_enqueued_though_it_is_off_now(world):
    async with closing(events_store(world)) as on:
        await on.store([event_row(0)], ())
    mend(world)
    async with closing(events_store(world, posthog=False)) as off:
        assert await repaired(off) == [Enqueued(dispatched=1, jobs=1)]


async def test_the_repair_touches_no_event_outside_a_gap(world, store):
    await store.store([event_row(0)], ())
    world.rows("ALTER TABLE notify_jobs DISABLE TRIGGER refuse")
    await store.store([event_row(1)], ())
    other = [event_row(place, topic="activity.events") for place in (2, 3)]
    await store.store(other, ())
    world.rows("DELETE FROM user_activity_dispatch_outbox")
    world.rows("DELETE FROM notify_jobs")
    # As if the ids of two workers' batches were interleaved.
    world.rows("UPDATE user_activity_enqueue_gap SET last_event = (SELECT max(id) FROM user_activity_event)")
    world.rows("UPDATE user_activity_event SET source_partition = 1 WHERE source_offset = 1")
    assert await repaired(store) == [Enqueued(dispatched=1, jobs=1)]


async def test_a_rule_made_after_the_event_makes_no_job(world, store):
    await store.store([event_row(0)], ())
    mend(world)
    world.rows("INSERT INTO notify_rules (event_name, template_id) VALUES ('group.created', 3)")
    assert await repaired(store) == [Enqueued(dispatched=1, jobs=1)]


async def test_a_gap_that_fails_does_not_hold_up_the_others(world, store):
    world.rows(
        "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF NEW.member_id < 3 THEN RAISE EXCEPTION 'not for this one'; END IF; RETURN NEW; END $$"
    )
    for member_id in (1, 2):
        await store.store([event_row(member_id, member_id=member_id)], ())
    world.rows("UPDATE user_activity_event SET member_id = 3 WHERE member_id = 2")
    assert isinstance(await store.repair(limit=9), EnqueueFailed)
    assert await store.repair(limit=9) == Enqueued(dispatched=1, jobs=1)
    assert isinstance(await store.repair(limit=9), EnqueueFailed)
    mend(world)
    assert await repaired(store) == [Enqueued(dispatched=1, jobs=1)]


async def test_two_workers_repair_side_by_side_and_neither_waits(world, store):
    for place in range(2):
        await store.store([event_row(place)], ())
    mend(world)
    with psycopg.connect(world.url) as other:
        (first,) = other.execute("SELECT id FROM user_activity_enqueue_gap ORDER BY id LIMIT 1 FOR UPDATE").fetchone()
        async with asyncio.timeout(10):
            assert await repaired(store) == [Enqueued(dispatched=1, jobs=1)]
        assert world.rows("SELECT id FROM user_activity_enqueue_gap") == [(first,)]
    assert await repaired(store) == [Enqueued(dispatched=1, jobs=1)]


async def test_a_repair_under_way_does_not_keep_the_store_waiting(world, store):
    await store.store([event_row(0)], ())
    mend(world)
    with psycopg.connect(world.url) as locking:
        locking.execute("LOCK TABLE user_activity_enqueue_gap IN ACCESS EXCLUSIVE MODE")
        repairing = asyncio.create_task(store.repair(limit=9))
        async with asyncio.timeout(10):
            while not world.one("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation IS NOT NULL")[0]:
                await asyncio.sleep(0.01)
            assert (await store.store([event_row(1)], ())).fates == (Fate.INSERTED,)
        assert not repairing.done()
    assert await repairing == Enqueued(dispatched=1, jobs=1)


async def test_the_repair_scans_no_event_table(world, store):
    await store.store([event_row(0)], ())
    mend(world)
    world.rows(
        "INSERT INTO user_activity_event (event_id, event_name, event_version, partition_key, occurred_at, properties,"
        " body_hash, source_topic, source_partition, source_offset)"
        " SELECT gen_random_uuid(), 'group.created', 1, 'm', now(), '{}', '', 't', 0, i"
        " FROM generate_series(1, 20000) AS i"
    )
    world.rows("VACUUM ANALYZE user_activity_event")
    assert await repaired(store) == [Enqueued(dispatched=1, jobs=1)]
    await store.close()
    scans = "SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_user_tables WHERE relname = 'user_activity_event'"
    async with asyncio.timeout(20):
        while world.one("SELECT n_tup_del FROM pg_stat_user_tables WHERE relname = 'user_activity_enqueue_gap'") != (
            1,
        ):
            await asyncio.sleep(0.05)
    assert world.one(scans)[0] < 20000


async def test_an_error_shows_no_row(world, store):
    """DETAIL of a violated constraint is the whole row: `Failing row contains (...)`."""
    mend(world)
    world.rows("ALTER TABLE notify_jobs ADD CONSTRAINT no_names CHECK (NOT variables ? 'name') NOT VALID")
    row = event_row(0, payload=f'{{"name":"{CANARY}"}}')
    report = await store.store([row], ())
    assert isinstance(report.enqueue, EnqueueFailed)
    assert "no_names" in report.enqueue.error
    step = await store.repair(limit=9)
    assert isinstance(step, EnqueueFailed)
    for error in (report.enqueue.error, step.error):
        assert CANARY not in error
        assert str(row.event.event_id) not in error
