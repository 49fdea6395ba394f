"""A user activity event, from a row of the outbox or from an Avro record of activity.events.

The invariant: two messages with one `event_id` are the same event exactly when their `body_hash` is equal, whichever of
the two ways they came.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson

from schemas.errors import Reason, SchemaError
from schemas.event_names import EventNames

MAX_PROPERTIES_BYTES: Final = 512 * 1024
"""Largest `properties` text. PostHog refuses events of about 1 MB (push-and-analytics B1): half of it leaves room."""

MAX_PROPERTIES_DEPTH: Final = 32
"""Deepest nesting of `properties`; readers of the stored jsonb recurse."""

MAX_TEXT_CHARS: Final = 255
"""Longest identifier: event_name, partition_key, session_id and their like."""

_CONTEXT: Final = ("anonymous_id", "session_id", "platform", "request_id", "trace_id")
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""U+0000 in JSON text; an escaped backslash before `u0000` is just a backslash."""
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
"""Times outside are sentinels or defects; year 9999 breaks every reader in a zone east of UTC."""
_PARSER_DEPTH: Final = re.compile("depth|recursion", re.IGNORECASE)
"""How orjson says that text is nested beyond its own limit."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ActivityEvent:
    """A valid event.

    Attributes:
        event_id: the producer's identity of the event; unique in the store.
        event_name: a name on the allow list.
        event_version: version of the properties' shape, from 1.
        partition_key: what order is kept by; the record key of the event's topic.
        occurred_at: when it happened, aware, UTC.
        member_id: the acting member, None when unknown.
        anonymous_id, session_id, platform, request_id, trace_id: context, may be None.
        properties: JSON object, as the producer spelled it: jsonb keeps numbers that no parser of ours would.
        body_hash: 16 bytes over everything but `event_id`; not over the spelling of `properties`.
    """

    event_id: UUID
    event_name: str
    event_version: int
    partition_key: str
    occurred_at: datetime
    member_id: int | None
    anonymous_id: str | None
    session_id: str | None
    platform: str | None
    request_id: str | None
    trace_id: str | None
    properties: str
    body_hash: bytes


def event_from_outbox_row(row: Mapping[str, Any], allowed: EventNames) -> ActivityEvent:
    """Make an event from a captured row of user_activity_source_outbox.

    Args:
        row: column to value as the change event carries them; `payload` is the properties' JSON text.
        allowed: the allow list.

    Raises:
        SchemaError: with the reason for which the row is refused.
    """
    return _event(row, row.get("payload"), _instant(row.get("occurred_at")), allowed)


def event_from_avro(record: Mapping[str, Any], allowed: EventNames) -> ActivityEvent:
    """Make an event from a decoded record of activity.events.

    Raises:
        SchemaError: with the reason for which the record is refused.
    """
    return _event(record, record.get("properties"), _instant(record.get("occurred_at")), allowed)


def _event(fields: Mapping[str, Any], payload: Any, occurred_at: datetime, allowed: EventNames) -> ActivityEvent:
    name = _text(fields, "event_name", required=True)
    assert name is not None
    if name not in allowed:
        raise SchemaError(Reason.UNKNOWN_EVENT_NAME, f"event_name {name!r} is not on the allow list")
    version = fields.get("event_version", 1)
    if type(version) is not int or not 1 <= version <= 2**31 - 1:
        raise SchemaError(Reason.INVALID_FIELD, f"event_version is {version!r}; an integer from 1 was expected")
    member_id = fields.get("member_id")
    if member_id is not None and (type(member_id) is not int or not -(2**63) <= member_id < 2**63):
        raise SchemaError(Reason.INVALID_FIELD, f"member_id is {member_id!r}; a 64-bit integer or null was expected")
    partition_key = _text(fields, "partition_key", required=True)
    assert partition_key is not None
    context = {key: _text(fields, key) for key in _CONTEXT}
    properties, canonical = checked_properties(payload)
    body = orjson.dumps([name, version, partition_key, member_id, *context.values(), _micros(occurred_at)])
    return ActivityEvent(
        event_id=_event_id(fields.get("event_id")),
        event_name=name,
        event_version=version,
        partition_key=partition_key,
        occurred_at=occurred_at,
        member_id=member_id,
        properties=properties,
        body_hash=hashlib.blake2b(body + canonical, digest_size=16).digest(),
        **context,
    )


def checked_properties(payload: Any) -> tuple[str, bytes]:
    """Check the properties' JSON text.

    Returns:
        the text as it is, and its canonical form (sorted keys, no spaces, numbers as 64-bit) for comparing.

    Raises:
        SchemaError: not text, not JSON, not an object, too large, too deep, or with U+0000, which jsonb cannot hold.
    """
    if payload is None:
        raise SchemaError(Reason.MISSING_FIELD, "the payload is null; a JSON object was expected")
    if not isinstance(payload, str):
        raise SchemaError(Reason.INVALID_FIELD, f"the payload is {type(payload).__name__}; JSON text was expected")
    size_bytes = len(payload.encode("utf-8", "surrogatepass"))
    if size_bytes > MAX_PROPERTIES_BYTES:
        raise SchemaError(Reason.TOO_LARGE, f"the payload has {size_bytes} bytes; at most {MAX_PROPERTIES_BYTES} fit")
    try:
        parsed = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        reason = Reason.TOO_DEEP if _PARSER_DEPTH.search(str(error)) else Reason.NOT_JSON
        raise SchemaError(reason, f"the payload is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise SchemaError(Reason.NOT_AN_OBJECT, f"the payload is a JSON {type(parsed).__name__}, not an object")
    if not _within_depth(parsed):
        raise SchemaError(Reason.TOO_DEEP, f"the payload is nested deeper than {MAX_PROPERTIES_DEPTH}")
    try:
        canonical = orjson.dumps(parsed, option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError) as error:
        raise SchemaError(Reason.INVALID_FIELD, f"the payload cannot be written again: {error}") from error
    if _NUL.search(canonical):
        raise SchemaError(Reason.INVALID_TEXT, "the payload contains U+0000, which PostgreSQL cannot store")
    return payload, canonical


def _within_depth(root: dict[str, Any]) -> bool:
    level: list[Any] = [root]
    for _ in range(MAX_PROPERTIES_DEPTH):
        below: list[Any] = []
        for node in level:
            children = node.values() if isinstance(node, dict) else node
            below.extend(child for child in children if isinstance(child, dict | list))
        if not below:
            return True
        level = below
    return False


def _event_id(raw: Any) -> UUID:
    if raw is None:
        raise SchemaError(Reason.MISSING_FIELD, "event_id is null; a UUID was expected")
    try:
        return UUID(str(raw))
    except ValueError as error:
        raise SchemaError(Reason.INVALID_FIELD, f"event_id is {str(raw)[:64]!r}; a UUID was expected") from error


def _text(fields: Mapping[str, Any], key: str, *, required: bool = False) -> str | None:
    raw = fields.get(key)
    if raw is None:
        if required:
            raise SchemaError(Reason.MISSING_FIELD, f"{key} is null")
        return None
    if not isinstance(raw, str) or len(raw) > MAX_TEXT_CHARS or (required and not raw):
        raise SchemaError(Reason.INVALID_FIELD, f"{key} must be text of 1 to {MAX_TEXT_CHARS} characters")
    if "\x00" in raw:
        raise SchemaError(Reason.INVALID_TEXT, f"{key} contains U+0000, which PostgreSQL cannot store")
    return raw


def _instant(raw: Any) -> datetime:
    if raw is None:
        raise SchemaError(Reason.MISSING_FIELD, "occurred_at is null")
    try:
        given = raw if isinstance(raw, datetime) else datetime.fromisoformat(raw)
        instant = given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise SchemaError(Reason.INVALID_FIELD, f"occurred_at is {raw!r}; an ISO 8601 time was expected") from error
    if not _EARLIEST <= instant < _LATEST:
        raise SchemaError(Reason.INVALID_FIELD, f"occurred_at is {instant.isoformat()}, outside 1970 to 2100")
    return instant


def _micros(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)
