"""One run of the stream against a connection and a producer that the test holds in its hands."""

import json
import threading

import pytest
from confluent_kafka import KafkaError, KafkaException
from prometheus_client import CollectorRegistry

from capture.clock import Clock
from capture.errors import DeliveryFailed, MalformedFrame, Stopped, StreamEnded
from capture.metrics import CaptureMetrics
from capture.replication import System
from capture.settings import RelaySettings
from capture.stream import ChangeStream
from schemas.errors import Reason
from tests.unit.capture import frames

OUTBOX = "user_activity_source_outbox"
COLUMNS = [("id", 20, -1, True), ("partition_key", 25, -1, False), ("payload", 25, -1, False)]
RELATION = frames.relation(1, OUTBOX, COLUMNS)
TOPIC = f"cdc.public.{OUTBOX}"


class Connection:
    """Frames to read; records what is confirmed. Stops the stream when it is idle for the given number of waits."""

    def __init__(self, world, *script):
        self.world = world
        self.script = list(script)
        self.confirmed = []
        self.waits = 0

    def read(self):
        if not self.script:
            return None
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step() if callable(step) else step

    def wait(self, timeout_s):
        self.waits += 1
        self.world.pass_time(max(timeout_s, 0.001))
        if self.waits >= self.world.idle_waits:
            self.world.stop.set()

    def confirm(self, lsn, now_us):
        self.confirmed.append(lsn)


class Error:
    def str(self):
        return "Broker: not today"


class Message:
    def topic(self):
        return TOPIC


class Producer:
    """Keeps records until the test, or `automatic`, acknowledges them on poll."""

    def __init__(self, world):
        self.world = world
        self.records = []
        self.waiting = []
        self.automatic = True
        self.fails_at = None
        self.room = None

    def produce(self, topic, value, key, headers, on_delivery):
        if self.room == 0:
            raise BufferError("Local: Queue full")
        if self.room is not None:
            self.room -= 1
        self.records.append((topic, key, value, headers))
        self.waiting.append(on_delivery)

    def poll(self, timeout):
        self.world.pass_time(timeout)
        if self.automatic:
            self.acknowledge(len(self.waiting))

    def acknowledge(self, count, at=0):
        for _ in range(count):
            delivered = self.waiting.pop(at)
            failed = self.fails_at is not None and len(self.records) - len(self.waiting) > self.fails_at
            delivered(Error() if failed else None, Message())


class World:
    """Clock, stop event and everything injected."""

    def __init__(self):
        self.now_s = 1_000.0
        self.stop = threading.Event()
        self.idle_waits = 3
        self.refused = []
        self.registry = CollectorRegistry()
        self.producer = Producer(self)

    def pass_time(self, seconds):
        self.now_s += seconds

    def stream(self, *script, **settings):
        self.connection = Connection(self, *script)
        return ChangeStream(
            RelaySettings(**settings),
            self.connection,
            self.producer,
            system=System("9", 1, "app"),
            confirmed_lsn=100,
            refuse=self.refused.append,
            metrics=CaptureMetrics(self.registry),
            clock=Clock(lambda: self.now_s, lambda: int(self.now_s * 1e9)),
        )

    def run(self, *script, **settings):
        stream = self.stream(*script, **settings)
        stream.run(self.stop)
        return stream


@pytest.fixture
def world():
    return World()


def transaction(*rows, end_lsn=200, first_lsn=150):
    inserts = [frames.insert(1, *row, lsn=first_lsn + at) for at, row in enumerate(rows)]
    return [frames.begin(end_lsn - 10, xid=end_lsn), *inserts, frames.commit(end_lsn - 10, end_lsn)]


def row(number, payload=b"{}"):
    return b"%d" % number, b"member:%d" % number, payload


def test_rows_become_records_and_their_commit_is_confirmed(world):
    world.run(RELATION, *transaction(row(1), row(2)))
    (topic, key, value, headers), second = world.producer.records
    assert (topic, key, headers) == (TOPIC, b'{"partition_key":"member:1"}', [("bongsu.epoch", b"9-1")])
    assert json.loads(value)["source"]["sequence"] == '["100","150"]'
    assert json.loads(second[2])["source"]["lsn"] == 151
    assert world.connection.confirmed[-1] == 200


def test_sequence_carries_the_end_of_the_commit_before(world):
    world.run(RELATION, *transaction(row(1), end_lsn=200), *transaction(row(2), end_lsn=300, first_lsn=250))
    second = json.loads(world.producer.records[1][2])["source"]
    assert (second["sequence"], second["txId"]) == ('["200","250"]', 300)


def test_nothing_is_confirmed_past_an_unacknowledged_record(world):
    world.producer.automatic = False
    script = [RELATION, *transaction(row(1), row(2), end_lsn=200), *transaction(row(3), end_lsn=300)]
    script += [lambda: world.producer.acknowledge(2, at=1) or frames.keepalive(900)]
    world.run(*script, stop_timeout_s=0.5)
    assert set(world.connection.confirmed) == {100}


def test_a_keepalive_is_confirmed_when_nothing_is_outstanding(world):
    world.run(frames.keepalive(500))
    assert world.connection.confirmed[-1] == 500


def test_a_requested_reply_is_given_at_once(world):
    world.idle_waits = 1
    world.run(frames.keepalive(500, reply=True), frames.keepalive(600))
    assert 500 in world.connection.confirmed


def test_the_status_goes_on_while_the_queue_is_full(world):
    world.producer.automatic = False
    world.producer.room = 1
    started_s = world.now_s

    def stop_after_a_while():
        if world.now_s - started_s > 10:
            world.stop.set()

    poll = world.producer.poll
    world.producer.poll = lambda timeout: (poll(timeout), stop_after_a_while())
    stream = world.stream(RELATION, *transaction(row(1), row(2)), frames.keepalive(900), stop_timeout_s=0.1)
    with pytest.raises(Stopped):
        stream.run(world.stop)
    assert len(world.connection.confirmed) >= 9
    assert set(world.connection.confirmed) == {100}
    assert frames.keepalive(900) in world.connection.script, "the socket was read although the queue is full"


def test_a_failed_delivery_ends_the_run_and_confirms_nothing_more(world):
    world.producer.fails_at = 1
    with pytest.raises(DeliveryFailed, match="not today"):
        world.run(RELATION, *transaction(row(1), row(2)), *transaction(row(3), end_lsn=300))
    assert set(world.connection.confirmed) <= {100}
    assert (
        world.registry.get_sample_value(
            "mq_publish_count_total", {"topic": TOPIC, "provider": "kafka", "result": "fail"}
        )
        == 1
    )


def test_a_producer_that_stopped_itself_ends_the_run(world):
    def poll(_timeout):
        raise KafkaException(KafkaError(KafkaError._FATAL))

    stream = world.stream(RELATION, *transaction(row(1)))
    world.producer.poll = poll
    with pytest.raises(DeliveryFailed, match="stopped"):
        stream.run(world.stop)
    assert world.connection.confirmed == []


def test_an_oversize_row_is_refused_and_the_stream_goes_on(world):
    world.run(RELATION, *transaction(row(1), row(2, b"x" * 5_000), row(3)), max_record_bytes=2_000)
    assert len(world.producer.records) == 2
    (refused,) = world.refused
    assert (refused.identity, refused.row_id, refused.reason) == (f"{OUTBOX}#2", "2", Reason.TOO_LARGE)
    assert (refused.lsn, refused.ordinal, refused.epoch) == (151, 2, "9-1")
    assert world.connection.confirmed[-1] == 200


def test_a_transaction_of_refused_rows_only_is_confirmed(world):
    world.run(RELATION, *transaction(row(1, b"x" * 5_000)), max_record_bytes=2_000)
    assert world.connection.confirmed[-1] == 200


def test_a_refusal_that_fails_confirms_nothing(world):
    def refuse(_row):
        raise DeliveryFailed("dead letters are down")

    stream = world.stream(RELATION, *transaction(row(1, b"x" * 5_000)), max_record_bytes=2_000)
    stream._refuse_row = refuse
    with pytest.raises(DeliveryFailed):
        stream.run(world.stop)
    assert set(world.connection.confirmed) <= {100}


def test_a_table_that_lost_its_key_column_stops_no_other(world):
    keyless = frames.relation(2, "notify_jobs", [("id", 20, -1, True)])
    rows = [frames.begin(), frames.insert(2, b"5"), frames.insert(1, *row(1)), frames.commit(190, 200)]
    world.run(RELATION, keyless, *rows)
    assert [refused.identity for refused in world.refused] == ["notify_jobs#5"]
    assert "member_id" in world.refused[0].error
    assert len(world.producer.records) == 1


def test_rows_of_other_tables_are_counted_not_relayed(world):
    other = frames.relation(3, "audit", [("id", 20, -1, True)])
    world.run(other, frames.begin(), frames.insert(3, b"1"), frames.commit(190, 200))
    assert world.producer.records == []
    assert world.registry.get_sample_value("capture_unrouted_rows_total", {"table": "audit"}) == 1
    assert world.connection.confirmed[-1] == 200


def test_an_undecodable_value_is_refused_with_its_raw_row(world):
    columns = [*COLUMNS[:2], ("payload", 1700, -1, False)]
    world.run(frames.relation(1, OUTBOX, columns), *transaction((b"1", b"k", b"NaN")))
    (refused,) = world.refused
    assert refused.reason is Reason.INVALID_FIELD
    assert json.loads(refused.value) == {"id": "1", "partition_key": "k", "payload": "NaN"}


def test_published_rows_are_counted_by_topic(world):
    world.run(RELATION, *transaction(row(1), row(2)))
    value = world.registry.get_sample_value
    assert value("mq_publish_count_total", {"topic": TOPIC, "provider": "kafka", "result": "success"}) == 2
    assert value("analytics_user_activity_outbox_publish_total", {"result": "success"}) == 2


def test_a_broken_connection_and_a_broken_protocol_end_the_run(world):
    with pytest.raises(StreamEnded):
        world.run(StreamEnded("gone"))
    with pytest.raises(MalformedFrame):
        World().run(frames.insert(1, b"1"))


def test_a_stop_in_the_middle_of_a_transaction_confirms_only_whole_ones(world):
    world.run(RELATION, *transaction(row(1)), frames.begin(390, xid=9), frames.insert(1, *row(2)))
    assert len(world.producer.records) == 2
    assert world.connection.confirmed[-1] == 200
