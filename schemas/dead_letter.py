"""A dead letter: a record that was refused, whole, with where it stood and why.

Values beyond the topic's limit are cut to 64 kB; then `value_bytes` and `value_sha256` tell what is missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

CUT_VALUE_BYTES: Final = 64 * 1024
"""How much of an oversize value a dead letter keeps."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One refused record.

    Attributes:
        topic, partition, offset: where it stood; offset -1 where it never reached Kafka (refused by the relay).
        timestamp_ms: the record's timestamp, Unix ms.
        key, value: the record's bytes as they were; value cut to 64 kB when oversize.
        headers: the record's headers in their order.
        source_identity: what it was made from: an event_id, or `table#primary key`, or None where the bytes tell none.
        reason: a `schemas.errors.Reason` value.
        error: one sentence for the operator.
        attempts: how often it was tried, from 1.
        first_failed_ms: first failure, Unix ms.
        role: who refused it: `relay` or a worker's role.
        version: release that refused it.
        value_bytes: true size of the value.
        value_sha256: digest of the whole value when it was cut, else None.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    source_identity: str | None
    reason: str
    error: str
    attempts: int
    first_failed_ms: int
    role: str
    version: str
    value_bytes: int
    value_sha256: bytes | None = None

    def to_avro(self) -> dict[str, Any]:
        """The record of dead-letter.avsc."""
        return {
            "schema_version": 1,
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "timestamp_ms": self.timestamp_ms,
            "key": self.key,
            "value": self.value,
            "headers": [{"name": name, "value": value} for name, value in self.headers],
            "source_identity": self.source_identity,
            "reason": self.reason,
            "error": self.error,
            "attempts": self.attempts,
            "first_failed_ms": self.first_failed_ms,
            "role": self.role,
            "version": self.version,
            "value_bytes": self.value_bytes,
            "value_sha256": self.value_sha256,
        }

    @classmethod
    def from_avro(cls, record: Mapping[str, Any]) -> "DeadLetter":
        """The inverse of `to_avro`."""
        fields = {key: record[key] for key in cls.__dataclass_fields__ if key != "headers"}
        headers = tuple((header["name"], header["value"]) for header in record["headers"])
        return cls(headers=headers, **fields)
