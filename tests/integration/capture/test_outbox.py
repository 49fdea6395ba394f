"""The producers' function inside real transactions."""

import json
from uuid import UUID

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from capture.outbox import Duplicate, EnqueueMetrics, Inserted, Outbox

pytestmark = pytest.mark.integration

EVENT_ID = UUID("7432d06d-88f7-406f-bbea-890b03921dfc")
EVENT = {
    "event_name": "group.created", "properties": {"group_id": 1, "이름": "봉수"}, "partition_key": "member:1",
    "event_id": EVENT_ID, "member_id": 1, "platform": "web",
}  # fmt: skip


@pytest.fixture
def outbox():
    return Outbox(EnqueueMetrics(CollectorRegistry()))


def rows(url):
    with psycopg.connect(url) as connection:
        query = "SELECT event_id, partition_key, payload, status, platform FROM user_activity_source_outbox"
        return connection.execute(query).fetchall()


def test_the_event_lives_and_dies_with_the_callers_transaction(database, outbox):
    with psycopg.connect(database) as connection:
        assert outbox.publish_activity(connection, **EVENT) == Inserted(EVENT_ID)
        connection.rollback()
        assert rows(database) == []
        with connection.cursor() as cursor:
            outbox.publish_activity(cursor, **EVENT)
        connection.commit()
    ((event_id, key, payload, status, platform),) = rows(database)
    assert (event_id, key, status, platform) == (EVENT_ID, "member:1", "PENDING", "web")
    assert json.loads(payload) == EVENT["properties"]


def test_the_same_id_twice_is_a_duplicate_and_harms_no_transaction(database, outbox):
    with psycopg.connect(database) as connection:
        outbox.publish_activity(connection, **EVENT)
        assert outbox.publish_activity(connection, **{**EVENT, "properties": {}}) == Duplicate(EVENT_ID)
        connection.execute("SELECT 1")
    assert len(rows(database)) == 1


async def test_on_an_asynchronous_connection(database, outbox):
    async with await psycopg.AsyncConnection.connect(database) as connection:
        assert await outbox.publish_activity_async(connection, **EVENT) == Inserted(EVENT_ID)
    assert len(rows(database)) == 1
