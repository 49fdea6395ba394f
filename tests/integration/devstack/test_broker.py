"""The embedded broker serves both clients that the project uses, and keeps the registry's partition counts."""

import asyncio
import time

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as AioPartition
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from devstack.broker import (
    FALLBACK_PARTITIONS,
    PARTITION_MAX_BYTES,
    ProducerMock,
    bundled_library,
    start_broker,
)
from ops.changelogs import all_topics

pytestmark = pytest.mark.integration


TOPICS = {"four": 4, "one": 1, "idle": 1, "full": 1, "frozen": 1}


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    broker = start_broker(tmp_path_factory.mktemp("broker"), TOPICS)
    yield broker
    broker.stop()


def partitions(bootstrap_servers):
    listed = AdminClient({"bootstrap.servers": bootstrap_servers}).list_topics(timeout=10).topics
    return {name: len(topic.partitions) for name, topic in listed.items()}


def produce(broker, topic, values, **config):
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "linger.ms": 0, **config})
    failed = []
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, _: failed.append(error) if error else None)
        producer.poll(0)
    assert producer.flush(10) == 0
    assert failed == []


def test_topics_have_the_partitions_asked_for(broker):
    assert partitions(broker.bootstrap_servers) == TOPICS


def test_the_projects_topics_exist_from_the_start(tmp_path):
    broker = start_broker(tmp_path)
    try:
        expected = {topic.name: topic.partitions for topic in all_topics("bongsu")}
        assert partitions(broker.bootstrap_servers) == expected
    finally:
        broker.stop()


def test_confluent_group_reads_what_confluent_wrote_and_its_offsets_are_kept(broker):
    produce(broker, "four", [str(number).encode() for number in range(100)])
    config = {
        "bootstrap.servers": broker.bootstrap_servers,
        "group.id": "confluent",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
    consumer = Consumer(config)
    consumer.subscribe(["four"])
    read = []
    deadline = time.monotonic() + 20
    while len(read) < 100 and time.monotonic() < deadline:
        read += [int(message.value()) for message in consumer.consume(100, timeout=1) if not message.error()]
    consumer.commit(asynchronous=False)
    consumer.close()

    assert sorted(read) == list(range(100))
    committed = Consumer(config).committed([TopicPartition("four", number) for number in range(4)], timeout=10)
    assert sum(max(position.offset, 0) for position in committed) == 100


def test_two_members_share_the_partitions_and_one_takes_over(broker):
    config = {"bootstrap.servers": broker.bootstrap_servers, "group.id": "shared", "session.timeout.ms": 2000}
    members = [Consumer(config) for _ in range(2)]
    for member in members:
        member.subscribe(["four"])
    until(lambda: [len(member.assignment()) for member in members] == [2, 2], members)
    members[0].close()
    until(lambda: len(members[1].assignment()) == 4, members[1:])
    members[1].close()


def until(condition, members, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the group did not settle in time"
        for member in members:
            member.poll(0.05)


async def test_aiokafka_group_goes_on_where_its_predecessor_committed(broker):
    produce(broker, "one", [b"1", b"2", b"3"])
    read = []
    for count in (2, 1):
        consumer = AIOKafkaConsumer(
            "one",
            bootstrap_servers=broker.bootstrap_servers,
            group_id="aio",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=20,
            session_timeout_ms=2000,
            heartbeat_interval_ms=500,
        )
        await consumer.start()
        try:
            async with asyncio.timeout(20):
                for _ in range(count):
                    message = await consumer.getone()
                    read.append(message.value)
                    await consumer.commit({AioPartition("one", 0): message.offset + 1})
        finally:
            await consumer.stop()

    assert read == [b"1", b"2", b"3"]


async def test_a_short_fetch_wait_brings_a_record_at_once(broker):
    """This broker does not wake an idle fetch: the wait bounds the latency of every stage of the pipeline."""
    consumer = AIOKafkaConsumer(
        "idle", bootstrap_servers=broker.bootstrap_servers, fetch_max_wait_ms=20, auto_offset_reset="earliest"
    )
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers)
    await consumer.start()
    await producer.start()
    try:
        waiting = asyncio.create_task(consumer.getone())
        await asyncio.sleep(0.2)
        started = time.monotonic()
        await producer.send_and_wait("idle", b"x")
        assert (await asyncio.wait_for(waiting, 20)).value == b"x"
        assert time.monotonic() - started < 1
    finally:
        await consumer.stop()
        await producer.stop()


def test_a_partition_drops_its_oldest_records_beyond_its_size(broker):
    """The documented limit: whoever is further behind than this loses records."""
    produce(broker, "full", [b"x" * 1000] * 8000, **{"linger.ms": 5})

    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "watermarks"})
    low, high = consumer.get_watermark_offsets(TopicPartition("full", 0), timeout=10)
    consumer.close()

    assert high == 8000
    assert 0 < (high - low) * 1000 <= PARTITION_MAX_BYTES


def test_a_frozen_broker_answers_nothing_and_loses_nothing(broker):
    produce(broker, "frozen", [b"kept"])
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    broker.pause()
    try:
        with pytest.raises(Exception, match=r"_TRANSPORT|_TIMED_OUT|timed out|transport"):
            admin.list_topics(timeout=1)
    finally:
        broker.resume()

    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "after"})
    assert consumer.get_watermark_offsets(TopicPartition("frozen", 0), timeout=20) == (0, 1)
    consumer.close()


def test_without_the_bundled_library_a_producer_is_the_broker():
    assert bundled_library() is not None
    mock = ProducerMock()

    assert mock.fixed_partitions == FALLBACK_PARTITIONS
    client = Producer({"bootstrap.servers": mock.bootstrap_servers})
    client.produce("made.on.first.use", b"x")
    assert client.flush(10) == 0
    assert partitions(mock.bootstrap_servers) == {"made.on.first.use": FALLBACK_PARTITIONS}
