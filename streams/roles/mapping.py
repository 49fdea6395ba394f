"""From a stored event to the event that PostHog takes. Pure.

PostHog's dedup key is day, name, distinct_id and uuid (push-and-analytics.md B4): all four come from the stored event
and from nothing else, so every retry and every replay carries the same ones.
"""

from typing import Any, Final

import orjson

from sinks.ports import AnalyticsEvent
from sinks.store_values import DispatchRow

CONTEXT: Final = ("event_version", "session_id", "platform", "request_id", "trace_id")
"""Columns of the event that travel among the properties, unless the producer's own carry that name."""


class UnmappableEvent(ValueError):
    """The stored event has no form that PostHog takes; the text says why."""


def analytics_event(row: DispatchRow) -> AnalyticsEvent:
    """Map a claimed row.

    `distinct_id` is the member, else the anonymous visitor, else the event's partition key: events without a person (a
    group, a job) stay countable under what they are about.

    Raises:
        UnmappableEvent: the event is gone, or its properties are no JSON object.
    """
    if row.event_name is None or row.occurred_at is None or row.properties is None:
        raise UnmappableEvent(f"event {row.event_id} is not in the store any more")
    return AnalyticsEvent(
        uuid=row.event_id,
        event=row.event_name,
        distinct_id=_distinct_id(row),
        timestamp=row.occurred_at,
        properties=_properties(row, row.properties),
    )


def _distinct_id(row: DispatchRow) -> str:
    if row.member_id is not None:
        return str(row.member_id)
    distinct_id = row.anonymous_id or row.partition_key
    if not distinct_id:
        raise UnmappableEvent(f"event {row.event_id} has neither member, visitor nor partition key")
    return distinct_id


def _properties(row: DispatchRow, text: str) -> dict[str, Any]:
    try:
        properties = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UnmappableEvent(f"the properties of event {row.event_id} are not JSON: {error}") from error
    if not isinstance(properties, dict):
        raise UnmappableEvent(f"the properties of event {row.event_id} are a JSON {type(properties).__name__}")
    for column in CONTEXT:
        value = getattr(row, column)
        if value is not None:
            properties.setdefault(column, value)
    return properties
