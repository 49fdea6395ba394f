"""Kafka 4.1 keeps its records through restart and SIGKILL, and Debezium relays inserted rows to it."""

import json
import time

import psycopg
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from devstack.connect import debezium_properties, start_connect
from devstack.processes import StartFailed
from ops.changelogs import all_topics
from topics.registry import cdc_topic

pytestmark = pytest.mark.real

TABLE = "user_activity_source_outbox"


def create_topic(stack, name):
    admin = AdminClient({"bootstrap.servers": stack.bootstrap_servers})
    for future in admin.create_topics([NewTopic(name, 4, 1)]).values():
        future.result(20)


def produce(stack, topic, values):
    producer = Producer({"bootstrap.servers": stack.bootstrap_servers, "acks": "all", "log_level": 0})
    for value in values:
        producer.produce(topic, value, partition=0)
    assert producer.flush(30) == 0


def read(stack, topic, count=None, *, until=None, seconds=60):
    """The topic from its start: `count` messages, or all up to one whose key holds `until`."""
    consumer = Consumer(
        {
            "bootstrap.servers": stack.bootstrap_servers,
            "group.id": "devstack-test",
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )
    partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    messages = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and len(messages) != count:
        message = consumer.poll(1)
        if message is None or message.error():
            continue
        messages.append(message)
        if until is not None and until in message.key():
            break
    consumer.close()
    return messages


def test_the_projects_topics_were_created_as_planned(real_stack18):
    listed = AdminClient({"bootstrap.servers": real_stack18.bootstrap_servers}).list_topics(timeout=20).topics
    expected = {topic.name: topic.partitions for topic in all_topics("bongsu")}
    assert {name: len(listed[name].partitions) for name in expected} == expected


def test_topics_are_not_made_on_first_use(real_stack18):
    producer = Producer({"bootstrap.servers": real_stack18.bootstrap_servers, "message.timeout.ms": 3000})
    failed = []
    producer.produce("nobody.made.this", b"x", on_delivery=lambda error, _: failed.append(error))
    producer.flush(20)

    assert [error is not None for error in failed] == [True]
    assert "nobody.made.this" not in producer.list_topics(timeout=20).topics


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_acknowledged_records_survive(real_stack18, how):
    topic = f"survives.{how}"
    create_topic(real_stack18, topic)
    produce(real_stack18, topic, [b"before"] * 100)
    if how == "kill":
        real_stack18.kill("broker")
        with pytest.raises(KafkaException):
            AdminClient({"bootstrap.servers": real_stack18.bootstrap_servers, "log_level": 0}).list_topics(timeout=1)

    real_stack18.restart("broker")
    produce(real_stack18, topic, [b"after"])

    values = [message.value() for message in read(real_stack18, topic, 101)]
    assert values == [b"before"] * 100 + [b"after"]


def test_a_frozen_kafka_answers_again_when_thawed(real_stack18):
    create_topic(real_stack18, "frozen")
    real_stack18.pause("broker")
    try:
        with pytest.raises(KafkaException):
            AdminClient({"bootstrap.servers": real_stack18.bootstrap_servers, "log_level": 0}).list_topics(timeout=1)
    finally:
        real_stack18.resume("broker")

    produce(real_stack18, "frozen", [b"x"])
    assert [message.value() for message in read(real_stack18, "frozen", 1)] == [b"x"]


@pytest.fixture(params=["real_stack15", "real_stack18"])
def any_real_stack(request):
    return request.getfixturevalue(request.param)


def test_debezium_relays_an_inserted_row_and_goes_on_after_a_kill(any_real_stack, tmp_path):
    stack = any_real_stack
    with psycopg.connect(stack.database_url, autocommit=True) as connection:
        connection.execute(f"CREATE PUBLICATION devstack_test FOR TABLE {TABLE} WITH (publish = 'insert')")
        connector = debezium_properties(
            stack.database_url,
            tables=[TABLE],
            key_columns={TABLE: "partition_key"},
            slot="devstack_test",
            publication="devstack_test",
        )
        connect = start_connect(tmp_path, bootstrap_servers=stack.bootstrap_servers, connector=connector)
        try:
            insert(connection, "member-1")
            (first,) = read(stack, cdc_topic(TABLE), 1)
            connect.kill()
            insert(connection, "member-2")
            connect.restart()
            keys = [json.loads(message.key()) for message in read(stack, cdc_topic(TABLE), until=b"member-2")]
        finally:
            connect.stop()
            connection.execute("SELECT pg_drop_replication_slot('devstack_test')")
            connection.execute("DROP PUBLICATION devstack_test")

    envelope = json.loads(first.value())
    assert (envelope["op"], envelope["before"]) == ("c", None)
    assert envelope["after"]["event_name"] == "group.created"
    assert envelope["after"]["status"] == "PENDING"
    assert envelope["source"]["table"] == TABLE
    assert keys[0] == {"partition_key": "member-1"}
    assert {"partition_key": "member-2"} in keys


def insert(connection, partition_key):
    connection.execute(
        f"INSERT INTO {TABLE} (event_id, event_name, event_version, partition_key, payload, occurred_at)"
        " VALUES (gen_random_uuid(), 'group.created', 1, %s, '{}', now())",
        [partition_key],
    )


def test_a_connector_that_fails_is_reported_with_its_reason(real_stack18, tmp_path):
    connector = debezium_properties(
        real_stack18.database_url, tables=[TABLE], key_columns={}, publication="no_such_publication"
    )

    with pytest.raises(StartFailed, match="Publication autocreation is disabled"):
        start_connect(tmp_path, bootstrap_servers=real_stack18.bootstrap_servers, connector=connector)
