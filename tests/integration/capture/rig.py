"""A relay with everything it needs, on a real PostgreSQL and the embedded broker, driven from a test."""

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import psycopg
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry

from capture.end_offsets import KafkaEndOffsets
from capture.metrics import CaptureMetrics
from capture.progress import ProgressSettings, ProgressWriter
from capture.refusing import DeadLetterTopic, RowRefuser
from capture.relay import Relay
from capture.replication import ReplicationConnection, pinned_conninfo
from capture.settings import RelaySettings, producer_config
from capture.sweep_plan import SweepSettings
from capture.sweeper import Sweeper
from schemas.avro import AvroCodec
from topics.registry import cdc_topic, dead_letter_topic, topics

OUTBOX = "user_activity_source_outbox"
WITHIN_S = 20.0


def eventually(condition, what):
    deadline_s = time.monotonic() + WITHIN_S
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline_s, f"not within {WITHIN_S} s: {what}"
        time.sleep(0.02)


class Rig:
    """Relay, sweeper and progress writer of one database and broker; every part can be made several times."""

    def __init__(self, dsn, bootstrap_servers, *, since=None, **settings):
        self.dsn = dsn
        self.since = since or {}
        self.bootstrap_servers = bootstrap_servers
        # Slots belong to the whole server: two databases of one server must not share a name.
        name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
        self.settings = replace(RelaySettings(slot_name=name, standby_interval_s=0.1, start_timeout_s=5.0), **settings)
        self.registry = CollectorRegistry()
        self.metrics = CaptureMetrics(self.registry)
        self.codec = AvroCodec({"dead-letter": 3, "activity-event": 1, "alert": 2})

    def connect(self):
        return psycopg.connect(pinned_conninfo(self.dsn, application_name="test"), autocommit=True)

    def producer(self):
        config = {"bootstrap.servers": self.bootstrap_servers}
        return Producer(producer_config(config, self.settings.max_record_bytes))

    def refuser(self):
        write = DeadLetterTopic(self.producer, lambda letter: self.codec.encode("dead-letter", letter.to_avro()))
        return RowRefuser(self.settings, write=write, connect=self.connect, version="test")

    def sweeper(self, **settings):
        return Sweeper(
            SweepSettings(self.settings, **settings),
            connect=self.connect, open_producer=self.producer, refuse=self.refuser(), metrics=self.metrics,
        )  # fmt: skip

    def relay(self, **ports):
        usual = {
            "connect": self.connect,
            "open_replication": lambda: ReplicationConnection.open(self.dsn),
            "open_producer": self.producer,
            "refuse": self.refuser(),
            "catch_up": self.sweeper().catch_up,
            "metrics": self.metrics,
        }
        return Relay(self.settings, **{**usual, **ports})

    def progress_writer(self):
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        names = tuple(self.settings.topic(table) for table in self.settings.tables)
        return ProgressWriter(
            ProgressSettings(self.settings.slot_name, names, nudge_after_s=0.5),
            connect=self.connect, open_producer=self.producer, end_offsets=KafkaEndOffsets(admin), metrics=self.metrics,
        )  # fmt: skip

    @contextmanager
    def running(self, relay=None):
        """A relay on a thread, streaming when the block is entered; its exception comes out of the block."""
        with in_thread((relay or self.relay()).run):
            eventually(self.active, "an active slot")
            yield

    def active(self):
        with self.connect() as connection:
            query = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s AND active"
            found = connection.execute(query, (self.settings.slot_name,)).fetchone()
            return found[0] if found else None

    def insert(self, *numbers, key="member:1", payload="{}"):
        """Insert rows in one transaction, one statement."""
        with self.connect() as connection:
            connection.execute(
                f"INSERT INTO {OUTBOX} (event_id, event_name, partition_key, payload)"
                " SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'group.created', %s, %s"
                " FROM unnest(%s::bigint[]) AS n",
                (key, payload, list(numbers)),
            )

    def execute(self, query, *parameters):
        with self.connect() as connection:
            cursor = connection.execute(query, parameters or None)
            return cursor.fetchall() if cursor.description else None

    def messages(self, topic):
        """Every record of a topic, in partition and offset order."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap_servers, "group.id": "t", "enable.auto.commit": False})
        try:
            found = []
            for partition in range(topics()[topic].partitions):
                _, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
                low = self.since.get((topic, partition), 0)
                if high > low:
                    consumer.assign([TopicPartition(topic, partition, low)])
                    while not found or found[-1].partition() != partition or found[-1].offset() < high - 1:
                        found += [message for message in consumer.consume(1_000, timeout=0.2) if not message.error()]
            return found
        finally:
            consumer.close()

    def changes(self, table=OUTBOX):
        """The parsed envelopes of a table's topic."""
        return [json.loads(message.value()) for message in self.messages(cdc_topic(table))]

    def numbers(self, op=None):
        """The numbers that `insert` was given, as they stand in the topic."""
        return [int(change["after"]["event_id"][-12:]) for change in self.changes() if op is None or change["op"] == op]

    def dead_letters(self, table=OUTBOX):
        found = self.messages(dead_letter_topic(cdc_topic(table)))
        return [self.codec.decode("dead-letter", message.value()) for message in found]


def end_offsets(bootstrap_servers):
    """Where every partition ends now: what other tests of the session wrote lies before."""
    ends = KafkaEndOffsets(AdminClient({"bootstrap.servers": bootstrap_servers}))(tuple(topics()))
    return {(topic, partition): end for topic, all_ends in ends.items() for partition, end in enumerate(all_ends)}


@contextmanager
def in_thread(work):
    """Run `work(stop)` beside the block; stop it at its end and raise what it raised."""
    stop, failures = threading.Event(), []

    def run():
        try:
            work(stop)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(15)
        assert not thread.is_alive(), "the thread did not end within 15 s of its stop"
    if failures:
        raise failures[0]
