"""The closed list of reasons for which a message is refused.

A reason code is what an operator filters dead letters by, so a code is never renamed; docs/glossary.md explains each.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a record was refused; the value stands in the dead letter's `reason` field."""

    NOT_JSON = "not_json"
    """The payload or envelope is not JSON text."""
    NOT_AN_OBJECT = "not_an_object"
    """JSON, but not an object."""
    TOO_LARGE = "too_large"
    """Larger than the topic's or the event's limit."""
    TOO_DEEP = "too_deep"
    """Nested deeper than the limit of `schemas.activity`."""
    INVALID_FIELD = "invalid_field"
    """A field has a value of the wrong type or form."""
    MISSING_FIELD = "missing_field"
    """A required field is absent or null."""
    UNKNOWN_EVENT_NAME = "unknown_event_name"
    """The event name is not on the allow list (001 L64, L248)."""
    NOT_AVRO = "not_avro"
    """The bytes do not begin with the registry's framing."""
    UNKNOWN_SCHEMA_ID = "unknown_schema_id"
    """The registry does not know the schema id in the framing."""
    TRUNCATED = "truncated"
    """The framing is right, the body does not decode."""
    NULL_VALUE = "null_value"
    """A record without a value where one is required."""
    NOT_AN_ENVELOPE = "not_an_envelope"
    """JSON, but no change event."""
    CONFLICT = "conflict"
    """An event_id that is stored already with a different body; the stored one stands."""
    INVALID_TEXT = "invalid_text"
    """Text that PostgreSQL cannot hold, e.g. U+0000."""
    POISON = "poison"
    """The store refused the record for a reason of its own; the error says which."""


class SchemaError(Exception):
    """A message does not have the form its schema asks for.

    Attributes:
        reason: the closed reason code.
        detail: one sentence for the operator, naming the field and what was expected.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail
