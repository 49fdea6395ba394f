"""The one function that producers call, inside their own transaction; writes a row, talks to nobody else.

The event is published exactly if the caller's transaction commits. The same thing in SQL:
`bongsu_publish_activity`.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID, uuid4

import psycopg
import structlog
from prometheus_client import REGISTRY, CollectorRegistry, Counter

from capture.sql import statement
from schemas.runbook_messages import OUTBOX_SERIALISATION_FAILED

Session: TypeAlias = psycopg.Connection[Any] | psycopg.Cursor[Any]
AsyncSession: TypeAlias = psycopg.AsyncConnection[Any] | psycopg.AsyncCursor[Any]

_DEPTH_MAX: Final = 64


class PayloadNotSerialisable(Exception):
    """The properties cannot be written as JSON; nothing was inserted, and the caller's transaction is untouched.

    Attributes:
        event_name: the event that was to be published.
    """

    def __init__(self, event_name: str, reason: str) -> None:
        super().__init__(f"properties of {event_name} cannot be written as JSON: {reason}")
        self.event_name = event_name


@dataclass(frozen=True, slots=True)
class Inserted:
    """The event will be published when the transaction commits."""

    event_id: UUID


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An event of this id was written before; nothing was inserted."""

    event_id: UUID


class EnqueueMetrics:
    """`analytics.user-activity.outbox.enqueue` of 001 L35, on one registry."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.enqueue = Counter(
            "analytics_user_activity_outbox_enqueue", "Events written to the outbox.", ["result"], registry=registry
        )


class _Prepared(NamedTuple):
    event_id: UUID
    parameters: dict[str, Any]


class Outbox:
    """Publishes activity events.

    Args:
        metrics: counters of inserted, duplicate and failed events.
    """

    def __init__(self, metrics: EnqueueMetrics) -> None:
        self._metrics = metrics
        self._log = structlog.get_logger(__name__)

    def publish_activity(
        self,
        session: Session,
        *,
        event_name: str,
        properties: Mapping[str, Any],
        partition_key: str,
        **fields: Any,
    ) -> Inserted | Duplicate:
        """Write one event into the outbox in the caller's transaction.

        Args:
            session: a psycopg connection or cursor; committing is the caller's.
            event_name: e.g. `group.created`.
            properties: JSON object; keys are text, numbers finite, text without NUL.
            partition_key: events of one key keep their commit order, e.g. `member:42`.
            fields: optional columns: event_id, occurred_at (aware), event_version, member_id, anonymous_id, session_id,
                platform, request_id, trace_id.

        Raises:
            PayloadNotSerialisable: before anything is sent to the database.
            TypeError: an unknown field.
            ValueError: no partition_key, or occurred_at without a zone.
        """
        prepared = self._prepare(event_name, properties, partition_key, fields)
        row = session.execute(statement("enqueue_activity"), prepared.parameters).fetchone()
        return self._outcome(prepared, row)

    async def publish_activity_async(
        self,
        session: AsyncSession,
        *,
        event_name: str,
        properties: Mapping[str, Any],
        partition_key: str,
        **fields: Any,
    ) -> Inserted | Duplicate:
        """As `publish_activity`, on an asynchronous connection or cursor."""
        prepared = self._prepare(event_name, properties, partition_key, fields)
        cursor = await session.execute(statement("enqueue_activity"), prepared.parameters)
        return self._outcome(prepared, await cursor.fetchone())

    def _prepare(
        self, event_name: str, properties: Mapping[str, Any], partition_key: str, fields: Mapping[str, Any]
    ) -> _Prepared:
        unknown = fields.keys() - _FIELDS.keys()
        if unknown:
            raise TypeError(f"publish_activity has no field {', '.join(sorted(unknown))}")
        if not partition_key:
            raise ValueError("partition_key is empty: events without one have no order")
        occurred_at = fields.get("occurred_at")
        if isinstance(occurred_at, datetime) and occurred_at.tzinfo is None:
            raise ValueError("occurred_at has no time zone")
        try:
            payload = serialise(properties)
        except (TypeError, ValueError, RecursionError) as error:
            self._metrics.enqueue.labels("fail").inc()
            self._log.error(
                "outbox.serialisation_failed",
                message=OUTBOX_SERIALISATION_FAILED,
                event_name=event_name,
                error=str(error),
            )
            raise PayloadNotSerialisable(event_name, str(error)) from error
        event_id = fields.get("event_id") or uuid4()
        identity = {"event_id": event_id, "event_name": event_name, "partition_key": partition_key, "payload": payload}
        return _Prepared(event_id, {**_FIELDS, **fields, **identity})

    def _outcome(self, prepared: _Prepared, row: Any) -> Inserted | Duplicate:
        if row is None:
            self._metrics.enqueue.labels("duplicate").inc()
            return Duplicate(prepared.event_id)
        self._metrics.enqueue.labels("inserted").inc()
        return Inserted(prepared.event_id)


_FIELDS: Final[Mapping[str, Any]] = {
    "event_id": None,
    "occurred_at": None,
    "event_version": 1,
    "member_id": None,
    "anonymous_id": None,
    "session_id": None,
    "platform": None,
    "request_id": None,
    "trace_id": None,
}


@cache
def _of_this_process() -> Outbox:
    return Outbox(EnqueueMetrics())


def publish_activity(
    session: Session, *, event_name: str, properties: Mapping[str, Any], partition_key: str, **fields: Any
) -> Inserted | Duplicate:
    """`Outbox.publish_activity` with the counters of this process: what an application calls."""
    return _of_this_process().publish_activity(
        session, event_name=event_name, properties=properties, partition_key=partition_key, **fields
    )


async def publish_activity_async(
    session: AsyncSession, *, event_name: str, properties: Mapping[str, Any], partition_key: str, **fields: Any
) -> Inserted | Duplicate:
    """`Outbox.publish_activity_async` with the counters of this process."""
    return await _of_this_process().publish_activity_async(
        session, event_name=event_name, properties=properties, partition_key=partition_key, **fields
    )


def serialise(properties: Mapping[str, Any]) -> str:
    """The JSON object text of an event's properties.

    Raises:
        TypeError: a value or key that JSON does not have.
        ValueError: NaN, infinity, a NUL or half a surrogate pair in text, or nesting deeper than 64.
    """
    if not isinstance(properties, Mapping):
        raise TypeError(f"properties are a {type(properties).__name__}, not an object")
    _check(properties, 1)
    return json.dumps(properties, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _check(value: Any, depth: int) -> None:
    if depth > _DEPTH_MAX:
        raise ValueError(f"nested deeper than {_DEPTH_MAX} levels")
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("text holds a NUL character, which PostgreSQL cannot store")
        value.encode()
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number is not finite")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            # json.dumps would write 1 and "1" as the same key.
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} is not text")
            _check(key, depth)
            _check(item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item, depth + 1)
