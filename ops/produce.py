"""Writing events by hand: into the outbox in one transaction, or as Avro onto activity.events."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from ops.errors import DependencyUnavailable, OperatorError
from ops.settings_model import Settings

if TYPE_CHECKING:
    from schemas.avro import AvroCodec

_CLOSE_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Draft:
    """An event as the command line describes it."""

    event_name: str
    partition_key: str
    properties: Mapping[str, Any]
    member_id: int | None = None
    event_id: UUID | None = None
    occurred_at: datetime | None = None


def numbered(draft: Draft, count: int) -> list[Draft]:
    """`count` events of one draft, each with an id and a time of its own; a given id is kept by all of them."""
    now = datetime.now(UTC)
    return [
        replace(draft, event_id=draft.event_id or uuid4(), occurred_at=draft.occurred_at or now) for _ in range(count)
    ]


def into_outbox(settings: Settings, drafts: list[Draft]) -> list[dict[str, Any]]:
    """All of them in one transaction, through the function that producers use. One row of result each."""
    from prometheus_client import CollectorRegistry
    from psycopg import DataError

    from capture.outbox import EnqueueMetrics, Inserted, Outbox, PayloadNotSerialisable
    from ops.database import connect

    outbox = Outbox(EnqueueMetrics(CollectorRegistry()))
    rows = []
    with connect(settings, "produce") as connection, connection.transaction():
        for draft in drafts:
            try:
                outcome = outbox.publish_activity(
                    connection,
                    event_name=draft.event_name,
                    properties=draft.properties,
                    partition_key=draft.partition_key,
                    member_id=draft.member_id,
                    event_id=draft.event_id,
                    occurred_at=draft.occurred_at,
                )
            except (PayloadNotSerialisable, ValueError) as error:
                raise OperatorError(f"{error}.") from error
            except DataError as error:
                raise OperatorError(f"PostgreSQL cannot store this event: {error}.") from error
            result = "inserted" if isinstance(outcome, Inserted) else "duplicate"
            rows.append({"event_id": str(outcome.event_id), "to": "outbox", "result": result})
    return rows


def onto_topic(settings: Settings, drafts: list[Draft]) -> list[dict[str, Any]]:
    """All of them onto activity.events, each acknowledged by Kafka. One row of result each."""
    from ops.registry import registry

    with registry(settings) as client:
        codec = client.codec()
    try:
        values = _encoded(codec, drafts)
        offsets = asyncio.run(_publish(settings, drafts, values))
    except ValueError as error:
        raise OperatorError(f"the event cannot be written: {error}.") from error
    return [
        {"event_id": str(draft.event_id), "to": "topic", "result": "acknowledged", "offset": offset}
        for draft, offset in zip(drafts, offsets, strict=True)
    ]


def _encoded(codec: "AvroCodec", drafts: list[Draft]) -> list[bytes]:
    from capture.outbox import serialise

    return [
        codec.encode(
            "activity-event",
            {
                "event_id": str(draft.event_id),
                "event_name": draft.event_name,
                "event_version": 1,
                "partition_key": draft.partition_key,
                "occurred_at": draft.occurred_at,
                "member_id": draft.member_id,
                "anonymous_id": None,
                "session_id": None,
                "platform": None,
                "request_id": None,
                "trace_id": None,
                "properties": serialise(draft.properties),
            },
        )
        for draft in drafts
    ]


async def _publish(settings: Settings, drafts: list[Draft], values: list[bytes]) -> list[int]:
    from confluent_kafka import Producer

    from ops.kafka_config import producer_config
    from topics.publisher import Outgoing, Publisher, PublishFailed
    from topics.registry import ACTIVITY_EVENTS

    publisher = Publisher(Producer({**producer_config(settings, "produce"), "delivery.timeout.ms": 15_000}))
    messages = [
        Outgoing(ACTIVITY_EVENTS, draft.partition_key.encode(), value)
        for draft, value in zip(drafts, values, strict=True)
    ]
    try:
        return await publisher.publish_many(messages)
    except PublishFailed as error:
        raise DependencyUnavailable(f"Kafka did not acknowledge an event: {error}.") from error
    finally:
        await publisher.close(_CLOSE_TIMEOUT_S)
