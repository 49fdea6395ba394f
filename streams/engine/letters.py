"""A refused record as a dead letter, whole: bytes, position, source, reason. Pure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.dead_letter import CUT_VALUE_BYTES, DeadLetter
from streams.engine.batch import Record
from streams.engine.outcomes import Refusal

MAX_HEADERS = 32
MAX_HEADER_BYTES = 4_096
"""Headers beyond these are cut: brokers judge a record by its compressed size, so anything may stand in one."""

MAX_ERROR_CHARS = 2_000
"""Enough for a driver's message; stacks belong in the log."""


@dataclass(frozen=True, slots=True)
class LetterHead:
    """What all dead letters of one worker have in common.

    Attributes:
        role: the worker's role.
        version: the release that refuses.
        max_value_bytes: values above are cut, so that the letter itself fits its topic.
    """

    role: str
    version: str
    max_value_bytes: int = 900_000

    def letter(self, refusal: Refusal, *, attempts: int, first_failed_ms: int) -> DeadLetter:
        """The dead letter of one refusal; `first_failed_ms` is Unix ms, `attempts` counts from 1."""
        record: Record = refusal.record
        value = record.value
        cut = value is not None and len(value) > self.max_value_bytes
        return DeadLetter(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp_ms=record.timestamp,
            key=None if record.key is None else record.key[:CUT_VALUE_BYTES],
            value=value[:CUT_VALUE_BYTES] if value is not None and cut else value,
            headers=_cut_headers(record.headers),
            source_identity=refusal.source_identity,
            reason=refusal.reason,
            error=refusal.error[:MAX_ERROR_CHARS],
            attempts=attempts,
            first_failed_ms=first_failed_ms,
            role=self.role,
            version=self.version,
            value_bytes=0 if value is None else len(value),
            value_sha256=hashlib.sha256(value).digest() if value is not None and cut else None,
        )


def _cut_headers(headers: Sequence[tuple[str, bytes | None]]) -> tuple[tuple[str, bytes | None], ...]:
    kept, left_bytes = [], MAX_HEADER_BYTES
    for name, content in headers[:MAX_HEADERS]:
        name_cut = name[: left_bytes // 4]
        left_bytes -= len(name_cut.encode())
        content_cut = None if content is None else content[:left_bytes]
        left_bytes -= len(content_cut or b"")
        kept.append((name_cut, content_cut))
    return tuple(kept)
