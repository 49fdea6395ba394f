"""The relay on a real PostgreSQL and the embedded broker."""

import json
import threading
import time
from functools import partial

import pytest
from confluent_kafka import KafkaError
from structlog.testing import capture_logs

from capture import slot
from capture.errors import ConfigurationRefused, DependencyUnavailable
from capture.stream import ChangeStream
from schemas.change import EPOCH_HEADER
from schemas.runbook_messages import PUBLISH_SKIPPED_PROVIDER_NONE
from tests.integration.capture.rig import OUTBOX, Rig, eventually, in_thread
from topics.partitioning import partition_for
from topics.registry import cdc_topic

pytestmark = pytest.mark.integration


def confirmed_past(rig):
    """Wait until the slot has confirmed everything written so far."""
    ((lsn,),) = rig.execute("SELECT pg_current_wal_lsn()::text")
    query = "SELECT 1 FROM pg_replication_slots WHERE slot_name = %s AND confirmed_flush_lsn >= %s::pg_lsn"
    eventually(lambda: rig.execute(query, rig.settings.slot_name, lsn), f"confirmed up to {lsn}")


def test_a_row_arrives_as_debezium_would_have_sent_it(rig):
    with rig.running():
        rig.insert(1, key="member:한글", payload='{"x": 1}')
        (message,) = eventually(lambda: rig.messages(cdc_topic(OUTBOX)), "one record")
        ((lsn, xmin, epoch_ms, database),) = rig.execute(
            f"SELECT (pg_current_wal_lsn() - '0/0')::bigint, xmin::text::bigint,"
            f" (extract(epoch FROM created_at) * 1000)::bigint, current_database() FROM {OUTBOX}"
        )
        assert message.key().decode() == '{"partition_key":"member:한글"}'
        assert message.partition() == partition_for(message.key(), 4)
        (system,) = rig.execute("SELECT system_identifier FROM pg_control_system()")
        assert message.headers() == [(EPOCH_HEADER, f"{system[0]}-1".encode())]
        value = json.loads(message.value())
        assert list(value) == ["before", "after", "source", "transaction", "op", "ts_ms", "ts_us", "ts_ns"]
        source = value["source"]
        assert list(source) == [
            "version", "connector", "name", "ts_ms", "snapshot", "db", "sequence", "ts_us", "ts_ns", "schema", "table",
            "txId", "lsn", "xmin",
        ]  # fmt: skip
        previous, own = (int(part) for part in json.loads(source["sequence"]))
        assert previous <= own == source["lsn"] < lsn
        assert (source["txId"], source["xmin"], source["db"]) == (xmin, None, database)
        assert abs(source["ts_ms"] - epoch_ms) < 5_000
        assert source["ts_us"] // 1000 == source["ts_ms"]
        assert source["ts_ns"] == source["ts_us"] * 1000
        assert (value["before"], value["transaction"], value["op"]) == (None, None, "c")
        assert value["after"]["payload"] == '{"x": 1}'
        assert value["after"]["retry_count"] == 0
        assert value["after"]["created_at"].endswith("Z")


def test_the_partition_is_the_one_that_java_would_choose(rig):
    with rig.running():
        rig.execute(
            f"INSERT INTO {OUTBOX} (event_id, event_name, partition_key, payload)"
            " SELECT gen_random_uuid(), 'a.b', 'member:' || n * 7919, '{}' FROM generate_series(1, 200) AS n"
        )
        records = eventually(lambda: len(found := rig.messages(cdc_topic(OUTBOX))) == 200 and found, "200 records")
    assert {record.partition() for record in records} == {0, 1, 2, 3}
    assert all(record.partition() == partition_for(record.key(), 4) for record in records)


def test_order_within_a_key_and_one_sequence_per_transaction(rig):
    with rig.running():
        for start in range(0, 100, 10):
            rig.insert(*range(start, start + 10))
        eventually(lambda: len(rig.numbers()) == 100, "100 records")
    assert rig.numbers() == list(range(100))
    sequences = {change["source"]["txId"]: change["source"]["sequence"] for change in rig.changes()}
    assert len(sequences) == 10


def test_a_relay_that_dies_unconfirmed_loses_nothing(rig, monkeypatch):
    with rig.running():
        rig.insert(1, 2)
        confirmed_past(rig)
    # This run dies without its last status, as if killed.
    with monkeypatch.context() as dying, rig.running():
        dying.setattr(ChangeStream, "_report", lambda self, now_s: None)
        rig.insert(3, 4)
        eventually(lambda: len(rig.numbers()) >= 4, "four records")
    rig.insert(5)
    with rig.running():
        eventually(lambda: 5 in rig.numbers(), "the last record")
        confirmed_past(rig)
    assert rig.numbers() == [1, 2, 3, 4, 3, 4, 5]
    with rig.running():
        rig.insert(6)
        eventually(lambda: rig.numbers()[-1] == 6, "the next record")
    assert rig.numbers() == [1, 2, 3, 4, 3, 4, 5, 6]


def test_a_broken_connection_is_taken_up_again(rig):
    with rig.running():
        for number in range(1, 6):
            rig.insert(number)
            rig.execute("SELECT pg_terminate_backend(%s)", rig.active())
            eventually(rig.active, "the stream to come back")
        eventually(lambda: set(rig.numbers()) == {1, 2, 3, 4, 5}, "five records")
    assert list(dict.fromkeys(rig.numbers())) == [1, 2, 3, 4, 5]


def test_a_frozen_broker_holds_the_position_and_nothing_is_lost(rig, broker):
    with rig.running():
        rig.insert(1)
        confirmed_past(rig)
        broker.pause()
        rig.insert(*range(2, 50))
        ((before,),) = rig.execute("SELECT confirmed_flush_lsn FROM pg_replication_slots")
        time.sleep(1.5)  # longer than the status interval: statuses go on, the position does not
        ((after, active),) = rig.execute("SELECT confirmed_flush_lsn, active FROM pg_replication_slots")
        assert (before, True) == (after, active)
        broker.resume()
        eventually(lambda: len(rig.numbers()) == 49, "49 records")
        confirmed_past(rig)
    assert rig.numbers() == list(range(1, 50))


class FailsOnce:
    """A real producer that reports one delivery as failed although Kafka took it, as after a lost answer."""

    def __init__(self, producer, at, budget):
        self._producer, self._at, self._budget = producer, at, budget
        self._count = 0

    def __getattr__(self, name):
        return getattr(self._producer, name)

    def produce(self, topic, value, key, on_delivery, **options):
        self._count += 1
        if self._count == self._at and self._budget:
            self._budget.pop()
            on_delivery = partial(self._lie, on_delivery)
        self._producer.produce(topic, value, key, on_delivery=on_delivery, **options)

    def _lie(self, on_delivery, _error, message):
        on_delivery(KafkaError(KafkaError._MSG_TIMED_OUT), message)


def test_a_failed_delivery_restarts_from_the_confirmed_position_in_order(rig):
    budget, generations = [1], []

    def open_producer():
        generations.append(FailsOnce(rig.producer(), 12, budget))
        return generations[-1]

    with capture_logs() as logs, rig.running(rig.relay(open_producer=open_producer)):
        for start in range(0, 50, 5):
            rig.insert(*range(start, start + 5))
        eventually(lambda: set(rig.numbers()) == set(range(50)), "all rows")
        confirmed_past(rig)
    assert len(generations) == 2
    assert [entry for entry in logs if entry["event"] == "relay.delivery_failed"]
    assert list(dict.fromkeys(rig.numbers())) == list(range(50))


def test_a_second_relay_stands_by_and_takes_over(rig):
    with capture_logs() as logs, in_thread(rig.relay().run) as first:
        holder = eventually(rig.active, "the first relay")
        with in_thread(rig.relay().run):
            eventually(lambda: [e for e in logs if e["event"] == "relay.standby"], "a standby")
            rig.insert(1)
            eventually(lambda: rig.numbers() == [1], "one record")
            assert rig.active() == holder
            first.set()
            eventually(lambda: (rig.active() or holder) != holder, "the standby to take over")
            rig.insert(2)
            eventually(lambda: rig.numbers() == [1, 2], "the second record")


def test_an_oversize_row_becomes_a_dead_letter_and_stops_nothing(make_rig):
    rig = make_rig(max_record_bytes=100_000)
    with rig.running():
        rig.insert(1)
        rig.insert(2, payload=json.dumps({"x": "y" * 2_000_000}))
        rig.insert(3)
        eventually(lambda: rig.numbers() == [1, 3], "the rows around it")
        (letter,) = eventually(rig.dead_letters, "a dead letter")
        confirmed_past(rig)
    assert letter["value_bytes"] > 2_000_000
    assert len(letter["value"]) == 65_536
    assert len(letter["value_sha256"]) == 32
    assert letter["source_identity"].endswith("-000000000002")
    ((status, error),) = rig.execute(f"SELECT status, last_error FROM {OUTBOX} WHERE id = 2")
    assert status == "FAILED"
    assert "100000" in error
    assert [status for (status,) in rig.execute(f"SELECT status FROM {OUTBOX} ORDER BY id")] == [
        "PENDING",
        "FAILED",
        "PENDING",
    ]


def test_a_lost_slot_is_made_again_and_nothing_is_missing(rig):
    with rig.running():
        rig.insert(1)
        confirmed_past(rig)
        eventually(lambda: rig.numbers() == [1], "the first record")
    rig.execute("SELECT pg_drop_replication_slot(%s)", rig.settings.slot_name)
    rig.insert(2, 3)
    with rig.running():
        rig.insert(4)
        eventually(lambda: 4 in rig.numbers(), "the streamed record")
    # Nobody marks rows as PUBLISHED here, so the first is swept with the others.
    assert rig.numbers("r") == [1, 2, 3]
    assert rig.numbers() == [1, 1, 2, 3, 4]
    assert rig.execute("SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE %s", "%unswept%") == [(0,)]


def test_a_provisional_slot_left_behind_is_dropped(rig):
    with rig.running():
        rig.insert(1)
        confirmed_past(rig)
    left = slot.unswept(rig.settings.slot_name)
    rig.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", left)
    with rig.running():
        rig.insert(2)
        eventually(lambda: 2 in rig.numbers(), "the next record")
    assert rig.execute("SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s", left) == [(0,)]


def test_a_slot_half_made_is_made_again(rig):
    def die(_stop):
        raise ConfigurationRefused("killed before the sweep was done")

    rig.insert(1)
    with pytest.raises(ConfigurationRefused):
        rig.relay(catch_up=die).run(threading.Event())
    assert not rig.execute("SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", rig.settings.slot_name)
    with rig.running():
        eventually(lambda: rig.numbers("r") == [1], "the swept record")


def test_stop_is_quick_while_the_broker_is_frozen(rig, broker):
    with rig.running():
        broker.pause()
        rig.insert(*range(1_000))
        started_s = time.monotonic()
    assert time.monotonic() - started_s < 15
    broker.resume()


def test_with_provider_none_nothing_is_published_and_no_slot_is_made(make_rig):
    rig = make_rig(mq_provider="none")
    with capture_logs() as logs, in_thread(rig.relay().run):
        eventually(lambda: [e for e in logs if e.get("message") == PUBLISH_SKIPPED_PROVIDER_NONE], "the message")
    assert rig.active() is None


def refusal_of(rig, **ports):
    with pytest.raises((ConfigurationRefused, DependencyUnavailable)) as caught:
        rig.relay(**ports).run(threading.Event())
    return caught.value


def test_a_wrong_dsn_is_said_at_once(rig, make_rig):
    for wrong in (
        rig.dsn.replace(rig.settings.slot_name, "no_such_db"),
        rig.dsn.replace("postgres:", "postgres:wrong"),
    ):
        refused = refusal_of(make_rig(wrong))
        assert isinstance(refused, ConfigurationRefused)
        assert "DATABASE_URL" in str(refused)


def test_an_absent_database_is_waited_for_and_then_named(make_rig):
    rig = make_rig("postgresql://u:p@127.0.0.1:1/nowhere", start_timeout_s=0.5)
    refused = refusal_of(rig)
    assert isinstance(refused, DependencyUnavailable)
    assert refused.dependency == "postgres"


def test_an_absent_broker_is_waited_for_and_then_named(database):
    refused = refusal_of(Rig(database, "127.0.0.1:1", start_timeout_s=0.5))
    assert isinstance(refused, DependencyUnavailable)
    assert refused.dependency == "kafka"


def test_a_missing_topic_is_named(make_rig):
    refused = refusal_of(make_rig(topic_prefix="other"))
    assert "other.public.user_activity_source_outbox" in str(refused)
    assert "topics apply" in str(refused)


def test_a_missing_table_is_named(rig):
    rig.execute("DROP TABLE push_message_logs")
    assert "push_message_logs" in str(refusal_of(rig))


def test_a_publication_with_updates_is_refused(rig):
    rig.execute(f"CREATE PUBLICATION bongsu FOR TABLE {OUTBOX}")
    assert "publish = 'insert'" in str(refusal_of(rig))
