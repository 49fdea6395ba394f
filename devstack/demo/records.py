"""The bytes of a record for activity.events: right ones, and wrong ones of every kind that must be refused. Pure."""

from typing import Any

from devstack.demo.plan import Draft
from schemas.avro import AvroCodec
from schemas.errors import Reason

UNREGISTERED_SCHEMA_ID = 987_654
"""An id that no registry of a demo gives out."""


def avro_fields(draft: Draft) -> dict[str, Any]:
    """The record of schema activity-event that says the same as the outbox row of this draft."""
    return {
        "event_id": str(draft.event_id),
        "event_name": draft.event_name,
        "event_version": 1,
        "partition_key": draft.partition_key,
        "occurred_at": draft.occurred_at,
        "member_id": draft.member_id,
        "anonymous_id": draft.anonymous_id,
        "session_id": draft.session_id,
        "platform": draft.platform,
        "request_id": None,
        "trace_id": None,
        "properties": draft.payload,
    }


def encode(codec: AvroCodec, draft: Draft) -> bytes | None:
    """The value of the record, spoiled as `draft.spoiled` says; None for a record without value."""
    fields = avro_fields(draft)
    if draft.spoiled is Reason.INVALID_FIELD:
        fields["event_id"] = "not-a-uuid"
    value = codec.encode("activity-event", fields)
    match draft.spoiled:
        case Reason.NULL_VALUE:
            return None
        case Reason.NOT_AVRO:
            return b'{"event_name": "page.viewed"}'
        case Reason.TRUNCATED:
            return value[: len(value) // 2]
        case Reason.UNKNOWN_SCHEMA_ID:
            return value[:1] + UNREGISTERED_SCHEMA_ID.to_bytes(4, "big") + value[5:]
        case _:
            return value
