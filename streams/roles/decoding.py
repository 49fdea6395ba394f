"""From a record to an event, a reason to skip it, or a reason to refuse it. Pure.

The invariant: every record gets exactly one of the three, whatever its bytes are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from schemas.activity import event_from_avro, event_from_outbox_row
from schemas.change import Change, Skipped, parse_change
from schemas.errors import SchemaError
from schemas.event_names import EventNames
from sinks.store_values import EventRow, SourceRefusal
from streams.engine.batch import Record
from streams.engine.outcomes import Refusal

AVRO_NAME = "activity-event"
"""The schema that records of activity.events are read with."""


class Decoder(Protocol):
    """The part of `schemas.avro.AvroCodec` that reading needs."""

    def decode(self, name: str, value: bytes | None) -> dict[str, Any]:
        """Read one record; SchemaError with the reason when it cannot be read."""
        ...


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that is refused, and the source row that goes with it where there is one."""

    refusal: Refusal
    source: SourceRefusal | None = None


Decoded = EventRow | Rejected | Skipped


def decode_change(record: Record, allowed: EventNames) -> Decoded:
    """Read a record of the source outbox's change topic."""
    try:
        change = parse_change(record.value)
    except SchemaError as error:
        return Rejected(Refusal(record, error.reason.value, error.detail, None))
    if isinstance(change, Skipped):
        return change
    try:
        event = event_from_outbox_row(change.row, allowed)
    except SchemaError as error:
        identity = identity_of(change.row, change.table)
        return Rejected(
            Refusal(record, error.reason.value, error.detail, identity), _source_refusal(change, str(error))
        )
    return EventRow(
        event,
        record.topic,
        record.partition,
        record.offset,
        lsn=change.lsn or None,
        source_id=_row_id(change.row),
        reemitted=change.op == "r",
    )


def decode_avro(record: Record, codec: Decoder, allowed: EventNames) -> Decoded:
    """Read a record of activity.events."""
    identity = None
    try:
        fields = codec.decode(AVRO_NAME, record.value)
        identity = identity_of(fields, None)
        event = event_from_avro(fields, allowed)
    except SchemaError as error:
        return Rejected(Refusal(record, error.reason.value, error.detail, identity))
    return EventRow(event, record.topic, record.partition, record.offset)


def identity_of(fields: Mapping[str, Any], table: str | None) -> str | None:
    """What a refused record was made from: its event_id, else `table#id`, else unknown (None)."""
    event_id = fields.get("event_id")
    if isinstance(event_id, str | UUID) and str(event_id):
        return str(event_id)
    row_id = _row_id(fields)
    return f"{table}#{row_id}" if table is not None and row_id is not None else None


def _source_refusal(change: Change, error: str) -> SourceRefusal | None:
    row_id, event_id = _row_id(change.row), change.row.get("event_id")
    if row_id is None or not isinstance(event_id, str):
        return None
    return SourceRefusal(row_id, event_id, error)


def _row_id(row: Mapping[str, Any]) -> int | None:
    row_id = row.get("id")
    return row_id if type(row_id) is int and 0 <= row_id < 2**63 else None
