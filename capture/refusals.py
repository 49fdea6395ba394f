"""What becomes of a row that cannot be relayed: a dead letter, and the source row FAILED; pure.

Nothing stops for such a row (design.md §4): the refusal carries the position in the log, the primary key, the
true size, the digest and the first 64 kB.
"""

import hashlib
from dataclasses import dataclass

from capture.envelope import Event, TableEncoder, raw_row
from capture.pgoutput import Row
from schemas.change import EPOCH_HEADER
from schemas.dead_letter import CUT_VALUE_BYTES, DeadLetter
from schemas.errors import Reason

ROLE = "relay"


@dataclass(frozen=True, slots=True)
class RowPosition:
    """Where a row stands in the log; see `RefusedRow`."""

    lsn: int
    ordinal: int
    commit_us: int
    epoch: str


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that cannot be relayed.

    Attributes:
        table: its table.
        identity: `table#primary key`.
        row_id: the `id` column where there is one: the row is marked FAILED by it.
        event_id: the `event_id` column where there is one.
        key, value: the record as it would have been, or the row's raw texts.
        lsn, ordinal: the row's position: LSN, and index in its transaction; 0 and index for rows read again.
        commit_us: commit time, Unix µs.
        epoch: epoch of the source.
    """

    table: str
    identity: str
    row_id: str | None
    event_id: str | None
    key: bytes | None
    value: bytes
    lsn: int
    ordinal: int
    commit_us: int
    epoch: str
    reason: Reason
    error: str


def refused_row(
    table: TableEncoder, row: Row, event: Event | None, *, position: RowPosition, reason: Reason, error: str
) -> RefusedRow:
    """Describe a row that cannot be relayed; `event` is the record it would have been, None if it has none."""
    return RefusedRow(
        table=table.relation.table,
        identity=table.key_text(row),
        row_id=table.column(row, "id"),
        event_id=table.column(row, "event_id"),
        key=event.key if event else None,
        value=(event.value or b"") if event else raw_row(table.relation, row),
        lsn=position.lsn,
        ordinal=position.ordinal,
        commit_us=position.commit_us,
        epoch=position.epoch,
        reason=reason,
        error=error,
    )


def oversize(event: Event, max_record_bytes: int) -> str | None:
    """Why a record is too large for its topic; None if it fits."""
    size = len(event.value or b"") + len(event.key or b"")
    if size <= max_record_bytes:
        return None
    return f"the record has {size} bytes; the limit is {max_record_bytes} (MAX_RECORD_BYTES)"


def dead_letter(row: RefusedRow, *, topic: str, version: str, now_ms: int) -> DeadLetter:
    """The dead letter of a refused row; its offset is -1 since it never reached its topic.

    Args:
        topic: the cdc topic it was meant for.
        version: the release that refused it.
        now_ms: Unix ms.
    """
    cut = len(row.value) > CUT_VALUE_BYTES
    position = f"{row.lsn >> 32:X}/{row.lsn & 0xFFFFFFFF:X}"
    return DeadLetter(
        topic=topic,
        partition=-1,
        offset=-1,
        timestamp_ms=row.commit_us // 1000,
        key=None if row.key is None else row.key[:CUT_VALUE_BYTES],
        value=row.value[:CUT_VALUE_BYTES],
        headers=(
            (EPOCH_HEADER, row.epoch.encode()),
            ("bongsu.position", f"{position} {row.ordinal}".encode()),
            ("bongsu.row", row.identity.encode()),
        ),
        source_identity=row.event_id or row.identity,
        reason=row.reason.value,
        error=f"{row.identity} at {position}, row {row.ordinal} of its transaction: {row.error}",
        attempts=1,
        first_failed_ms=now_ms,
        role=ROLE,
        version=version,
        value_bytes=len(row.value),
        value_sha256=hashlib.sha256(row.value).digest() if cut else None,
    )
