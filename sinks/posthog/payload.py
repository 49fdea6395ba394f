"""Events to request bodies, and what is refused before it is sent. Pure.

PostHog answers 200 and drops an event without name or distinct_id, so that is judged here (reference sheet B3).
It merges repeats only when uuid, day of timestamp, name and distinct_id are all the same (B4); therefore nothing
here depends on when or how often an event is sent.
"""

import gzip
from collections.abc import Sequence
from datetime import datetime, timedelta

import orjson

from sinks.outcomes import Refused
from sinks.ports import AnalyticsEvent

HISTORICAL_AFTER = timedelta(hours=48)
MAX_NAME_LENGTH = 200


def serialise(event: AnalyticsEvent, limit_bytes: int) -> bytes | Refused:
    """One event as JSON, or why PostHog could not keep it."""
    fault = _fault(event)
    if fault is not None:
        return fault
    # With sent_at in the body PostHog moves timestamps by its view of our clock, a little differently on each
    # retry; near midnight the day would change and the repeat would not merge. This property stops that.
    properties = {**event.properties, "$ignore_sent_at": True}
    try:
        text = orjson.dumps(
            {
                "event": event.event,
                "distinct_id": event.distinct_id,
                "uuid": event.uuid,
                "timestamp": event.timestamp,
                "properties": properties,
            },
            option=orjson.OPT_UTC_Z,
        )
    except (orjson.JSONEncodeError, UnicodeError) as error:
        return Refused("unserialisable", None, str(error)[:200])
    if len(text) > limit_bytes:
        return Refused("payload_too_large", None, f"{len(text)} octets, at most {limit_bytes}")
    return text


def body_of(serialised: Sequence[bytes], api_key: str, sent_at: datetime, *, historical: bool) -> bytes:
    """The request body for serialised events, gzip-compressed at level 1."""
    head = orjson.dumps(
        {"api_key": api_key, "historical_migration": historical, "sent_at": sent_at}, option=orjson.OPT_UTC_Z
    )
    whole = b'%s,"batch":[%s]}' % (head[:-1], b",".join(serialised))
    return gzip.compress(whole, compresslevel=1, mtime=0)


def is_historical(events: Sequence[AnalyticsEvent], now: datetime) -> bool:
    """True when every event of the batch is older than 48 h: PostHog then treats it as an import."""
    return bool(events) and all(now - event.timestamp > HISTORICAL_AFTER for event in events)


def _fault(event: AnalyticsEvent) -> Refused | None:
    if not event.event.strip() or len(event.event) > MAX_NAME_LENGTH:
        return Refused("invalid_event", None, "event name is empty or longer than 200 characters")
    if not event.distinct_id.strip() or len(event.distinct_id) > MAX_NAME_LENGTH:
        return Refused("invalid_event", None, "distinct_id is empty or longer than 200 characters")
    if event.timestamp.tzinfo is None:
        return Refused("invalid_event", None, "timestamp has no time zone")
    return None
