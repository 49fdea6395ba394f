"""The event store on PostgreSQL: once under concurrency, rules, hostile values, lost connections."""

import asyncio
import random
from dataclasses import replace
from uuid import uuid4

import psycopg
import pytest

from ops import migrations
from schemas.avro import AvroCodec
from schemas.event_names import EventNames
from sinks.postgres.dispatch_store import PostgresDispatchStore
from sinks.postgres.event_store import PostgresEventStore
from sinks.store_errors import StoreRefused, StoreUnavailable
from sinks.store_values import Enqueued, Fate
from streams.engine.driver import Driver
from streams.roles import decoding
from streams.roles.activity import ActivityRole
from streams.roles.memory import MemorySchemas
from tests.integration.roles.role_database import RoleDatabase, closing
from tests.unit.roles.role_records import ALLOWED, AVRO, SOURCE, batch, change_value, event_row, outbox_row

pytestmark = pytest.mark.integration


@pytest.fixture
def world(database):
    return RoleDatabase(database)


@pytest.fixture
async def store(world):
    async with closing(PostgresEventStore(world.connect, dispatch_to_posthog=True)) as opened:
        yield opened


def role_on(store):
    return ActivityRole(store, AvroCodec({"activity-event": 1}), MemorySchemas(), allowed=ALLOWED, avro_topic=AVRO)


async def test_two_workers_with_overlapping_batches_leave_no_duplicate_row(world):
    """Redelivered and duplicated records raced by two workers: one row and one dispatch row for each event."""
    values = [change_value(outbox_row(place, uuid4())) for place in range(400)]
    stores = [PostgresEventStore(world.connect, dispatch_to_posthog=True) for _ in range(2)]

    async def work(store, seed):
        driver, dice = Driver(role_on(store).handle), random.Random(seed)
        for partition in range(8):
            chunk = dice.sample(values, 150)
            await driver.feed(SOURCE, chunk, partition=partition + 10 * seed)
        return driver

    async with closing(*stores):
        drivers = await asyncio.gather(*(work(store, seed) for seed, store in enumerate(stores)))
    assert all(driver.dead_letters == [] for driver in drivers)
    events, distinct = world.one("SELECT count(*), count(DISTINCT event_id) FROM user_activity_event")
    dispatches, known = world.one(
        "SELECT count(*), count(*) FILTER (WHERE event_id IN (SELECT event_id FROM user_activity_event))"
        " FROM user_activity_dispatch_outbox"
    )
    assert events == distinct == dispatches == known
    assert events > 390


async def test_ids_rise_in_the_order_of_the_records(world, store):
    rows = [event_row(place) for place in range(500)]
    await store.store(rows, ())
    stored = world.rows(
        "SELECT source_offset, source_topic, source_partition, source_lsn FROM user_activity_event ORDER BY id"
    )
    assert stored == [(place, SOURCE, 0, 1000 + place) for place in range(500)]
    dispatched = world.rows("SELECT event_id FROM user_activity_dispatch_outbox ORDER BY id")
    assert dispatched == [(row.event.event_id,) for row in rows]


async def test_without_posthog_nothing_is_dispatched(world):
    async with closing(PostgresEventStore(world.connect, dispatch_to_posthog=False)) as store:
        report = await store.store([event_row(0)], ())
    assert report.enqueue == Enqueued()
    assert world.one("SELECT count(*) FROM user_activity_dispatch_outbox") == (0,)


async def test_rules_make_jobs_for_members(world, store):
    world.rows(
        "INSERT INTO notify_rules (event_name, template_id, enabled_yn, delay_seconds) VALUES"
        " ('group.created', 2, 1, 60), ('group.created', 3, 0, 0), ('group.created', 4, 1, 0),"
        " ('review.saved', 5, 1, 0)"
    )
    world.rows("UPDATE push_templates SET enabled_yn = 0 WHERE id = 4")
    member, nobody = event_row(0, payload='{"name":"Ramen"}'), event_row(1, member_id=None)
    report = await store.store([member, nobody], ())
    assert report.enqueue == Enqueued(dispatched=2, jobs=1)
    rule_id = world.one("SELECT id FROM notify_rules WHERE template_id = 2")[0]
    event_id = member.event.event_id
    assert world.rows("SELECT event_id, rule_id, template_id, variables, status, dedup_key FROM notify_jobs") == [
        (event_id, rule_id, 2, {"name": "Ramen"}, "READY", f"{event_id}:{rule_id}")
    ]
    assert world.one("SELECT scheduled_at > now() + interval '50 s' FROM notify_jobs") == (True,)


async def test_a_job_that_is_there_already_is_counted(world, store):
    world.rows("INSERT INTO notify_rules (event_name, template_id) VALUES ('group.created', 2)")
    rule_id = world.one("SELECT id FROM notify_rules")[0]
    row = event_row(0)
    world.rows(
        "INSERT INTO notify_jobs (template_id, member_id, dedup_key) VALUES (2, 1, %s)",
        f"{row.event.event_id}:{rule_id}",
    )
    assert (await store.store([row], ())).enqueue == Enqueued(dispatched=1, job_duplicates=1)


async def test_a_value_that_postgresql_cannot_hold_is_one_poison_record(world, store, monkeypatch):
    """U+0000 in jsonb, past the checks of `schemas`: the engine finds the one record and the rest is stored."""
    monkeypatch.setattr("schemas.activity.checked_properties", lambda text: (text, text.encode()), raising=True)
    rows = [outbox_row(place, uuid4()) for place in range(1, 8)]
    for row in rows:
        row["id"] = world.source(row["event_id"])
    rows[4]["payload"] = '{"name":"\\u0000"}'
    driver = Driver(role_on(store).handle)
    await driver.feed(SOURCE, [change_value(row) for row in rows])
    (letter,) = driver.dead_letters
    assert (letter.offset, letter.reason, letter.source_identity) == (4, "poison", rows[4]["event_id"])
    assert driver.committed(SOURCE) == 7
    assert world.one("SELECT count(*) FROM user_activity_event") == (6,)
    status, retry_count, error = world.source_state(rows[4]["id"])
    assert (status, retry_count) == ("FAILED", 1)
    assert "22P05" in error


async def test_values_that_are_at_fault_are_refused_and_nothing_is_kept(world, store):
    row = event_row(1)
    broken = replace(row, event=replace(row.event, event_name="a\x00b"))
    with pytest.raises(StoreRefused):
        await store.store([event_row(0), broken], ())
    assert world.one("SELECT count(*) FROM user_activity_event") == (0,)
    assert (await store.store([event_row(2)], ())).fates == (Fate.INSERTED,)


async def test_a_lost_connection_is_told_and_made_again(world, store):
    await store.store([event_row(0)], ())
    world.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    with pytest.raises(StoreUnavailable):
        await store.store([event_row(1)], ())
    assert (await store.store([event_row(1)], ())).fates == (Fate.INSERTED,)


async def test_a_server_that_does_not_answer_is_noticed(world):
    async with closing(PostgresEventStore(world.connect, dispatch_to_posthog=True, timeout_s=0.3)) as store:
        with psycopg.connect(world.url) as locking:
            locking.execute("LOCK TABLE user_activity_event")
            with pytest.raises(StoreUnavailable, match=r"0.3 s"):
                await store.store([event_row(0)], ())
        assert (await store.store([event_row(0)], ())).fates == (Fate.INSERTED,)


async def test_a_missing_table_is_a_defect(world, store):
    world.rows("ALTER TABLE user_activity_event RENAME TO elsewhere")
    with pytest.raises(psycopg.errors.UndefinedTable):
        await store.store([event_row(0)], ())


async def test_the_other_column_name(postgres):
    name = f"sink_type_{uuid4().hex[:8]}"
    postgres.create_database(name)
    world = RoleDatabase(postgres.url(name))
    try:
        with psycopg.connect(world.url, autocommit=True) as connection:
            migrations.apply(connection, "sink_type")
        events = PostgresEventStore(world.connect, dispatch_to_posthog=True, target_column="sink_type")
        dispatch = PostgresDispatchStore(world.connect, target_column="sink_type")
        async with closing(events, dispatch):
            await events.store([event_row(0)], ())
            (row,) = await dispatch.claim(uuid4(), limit=9, lease_s=60)
            world.rows("DELETE FROM user_activity_dispatch_outbox")
            world.rows(
                "INSERT INTO user_activity_enqueue_gap"
                " (first_event, last_event, source_topic, source_partition, dispatches) VALUES (1, 1, %s, 0, true)",
                SOURCE,
            )
            assert await events.repair(limit=9) == Enqueued(dispatched=1)
        assert row.event_name == "group.created"
        assert world.rows("SELECT sink_type FROM user_activity_dispatch_outbox") == [("POSTHOG",)]
    finally:
        postgres.drop_database(name)


async def test_a_whole_flow_of_bad_input_stops_nothing(world, store):
    """Each bad record of the issue's list, among good ones: a dead letter each, everything else stored."""
    good = [outbox_row(place, uuid4()) for place in range(3)]
    twice = uuid4()
    values = [
        change_value(good[0]),
        b"\x00 not a change event",
        change_value(outbox_row(10, uuid4(), payload="oops")),
        change_value(outbox_row(10, "a\x00b")),
        change_value(good[1]),
        change_value(outbox_row(11, uuid4(), event_name="nobody.knows")),
        change_value(outbox_row(12, twice)),
        change_value(outbox_row(12, twice)),
        change_value(outbox_row(13, twice, payload='{"another":1}')),
        None,
        change_value(good[2], op="d"),
        change_value(good[2]),
    ]
    driver = Driver(role_on(store).handle)
    await driver.feed(SOURCE, values)
    assert [(letter.offset, letter.reason) for letter in driver.dead_letters] == [
        (1, "not_json"),
        (2, "not_json"),
        (3, "invalid_field"),
        (5, "unknown_event_name"),
        (8, "conflict"),
    ]
    assert driver.committed(SOURCE) == len(values)
    assert world.one("SELECT count(*) FROM user_activity_event") == (4,)


def test_every_name_may_be_allowed():
    row = outbox_row(event_name="anything.goes")
    decoded = decoding.decode_change(batch(change_value(row)).records[0], EventNames(frozenset(), any_name=True))
    assert not isinstance(decoded, decoding.Rejected)
