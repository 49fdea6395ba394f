"""Writing single events, good and bad, as an application would, and looking at what became of them."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
from confluent_kafka import Producer

from devstack.demo.plan import Draft
from devstack.demo.records import encode
from schemas.errors import Reason
from topics.registry import ACTIVITY_EVENTS

BAD_PAYLOADS = {
    "not JSON": ("group.joined", '{"a": ', Reason.NOT_JSON),
    "not an object": ("group.joined", "[1, 2]", Reason.NOT_AN_OBJECT),
    "two megabytes": ("group.joined", '{"text": "' + "x" * 2_000_000 + '"}', Reason.TOO_LARGE),
    "nested deeply": ("group.joined", '{"a":' * 2_000 + "1" + "}" * 2_000, Reason.TOO_DEEP),
    "text with U+0000": ("group.joined", '{"a": "\\u0000"}', Reason.INVALID_TEXT),
    "unknown event name": ("group.joyned", "{}", Reason.UNKNOWN_EVENT_NAME),
}


def draft(event_name="group.joined", payload='{"name": "가람", "groupId": 7}', **changed):
    """An event about member 1."""
    fields = {
        "event_id": uuid4(),
        "event_name": event_name,
        "partition_key": "member-1",
        "member_id": 1,
        "anonymous_id": None,
        "session_id": "session-1",
        "platform": "web",
        "occurred_at": datetime.now(UTC),
        "payload": payload,
    }
    return Draft(**{**fields, **changed})


class Application:
    """An application beside a running demo."""

    def __init__(self, demo):
        self.demo = demo
        self._producer = Producer({**demo.kafka_config(), "acks": "all", "partitioner": "murmur2_random"})

    def query(self, statement, *parameters):
        """All rows of a query, in a transaction of its own."""
        with psycopg.connect(self.demo.stack.database_url, autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def insert(self, event_name="group.joined", payload='{"name": "가람", "groupId": 7}', member_id=1) -> UUID:
        """A row of the outbox through the producers' SQL function."""
        event_id = uuid4()
        self.query(
            "SELECT bongsu_publish_activity(%s, %s, %s, member_id => %s, event_id => %s)",
            event_name,
            payload,
            f"member-{member_id}",
            member_id,
            event_id,
        )
        return event_id

    def send(self, value, key=b"member-1", topic=ACTIVITY_EVENTS):
        """A record as bytes; returns (topic, partition, offset)."""
        places = []
        self._producer.produce(
            topic,
            key=key,
            value=value,
            on_delivery=lambda _, message: places.append((message.partition(), message.offset())),
        )
        assert self._producer.flush(10) == 0
        return topic, *places[0]

    def send_event(self, event):
        """A record of schema activity-event."""
        return self.send(encode(self.demo.codec, event))

    def stored(self, event_id):
        """The stored event's name, or None."""
        rows = self.query("SELECT event_name FROM user_activity_event WHERE event_id = %s", event_id)
        return rows[0][0] if rows else None

    def outbox(self, event_id):
        """Status and last error of an outbox row."""
        rows = self.query("SELECT status, last_error FROM user_activity_source_outbox WHERE event_id = %s", event_id)
        return rows[0] if rows else None

    def letters(self, reason):
        """Dead letters with this reason."""
        return [letter for letter in self.demo.witness.dead_letters() if letter.reason == reason]

    def member_with_live_subscription(self) -> int:
        """Somebody who can be notified."""
        return next(one.member_id for one in self.demo.subscriptions if not one.expires)
