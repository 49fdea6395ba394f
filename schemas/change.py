"""A captured change: the part of Debezium's envelope that Bongsu reads.

Belongs here: taking an envelope apart. Does not belong here: making one (`capture.envelope`) or judging whether a
change was seen before (`streams.windows.fence`). The parser does not rely on field order and accepts envelopes with and
without the Connect schema wrapper, so that Debezium can take the relay's place.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

from schemas.errors import Reason, SchemaError

EPOCH_HEADER: Final = "bongsu.epoch"
"""Record header with the epoch of the source, `<system identifier>-<timeline>` (design.md §4)."""


class Skipped(StrEnum):
    """Records of a cdc topic that are counted and passed over: Bongsu reads inserted facts only."""

    TOMBSTONE = "tombstone"
    UPDATE = "update"
    DELETE = "delete"
    TRUNCATE = "truncate"
    MESSAGE = "message"


_SKIPPED_OPS: Final[Mapping[str, Skipped]] = {
    "u": Skipped.UPDATE,
    "d": Skipped.DELETE,
    "t": Skipped.TRUNCATE,
    "m": Skipped.MESSAGE,
}


@dataclass(frozen=True, slots=True)
class Change:
    """One inserted row (op `c`) or one row read again (op `r`).

    Attributes:
        op: `c` or `r`.
        table: table name without schema.
        row: column name to value, as the wire carries them (timestamptz as ISO text, jsonb as text).
        commit_ms: commit time of the transaction, Unix milliseconds (time of reading for op `r`).
        lsn: the change's own LSN; 0 where the wire has none (op `r` by incremental reading).
        tx_id: transaction id; None for op `r`.
        previous_commit_lsn: `source.sequence[0]`, the end of the previous commit as the reader knew it; None is an
            alarm on op `c`, since neither relay writes null unless its offsets were lost.
    """

    op: str
    table: str
    row: dict[str, Any]
    commit_ms: int
    lsn: int
    tx_id: int | None
    previous_commit_lsn: int | None


def parse_change(value: bytes | None) -> Change | Skipped:
    """Take a cdc record's value apart.

    Args:
        value: the record's value; None is a tombstone.

    Raises:
        SchemaError: the bytes are no JSON object, or no change event.
    """
    if value is None:
        return Skipped.TOMBSTONE
    try:
        envelope = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise SchemaError(Reason.NOT_JSON, f"the change event is not JSON: {error}") from error
    if not isinstance(envelope, dict):
        raise SchemaError(Reason.NOT_AN_OBJECT, f"the change event is a JSON {type(envelope).__name__}, not an object")
    if "payload" in envelope and "op" not in envelope:
        envelope = envelope["payload"]
        if envelope is None:
            return Skipped.TOMBSTONE
        if not isinstance(envelope, dict):
            raise SchemaError(Reason.NOT_AN_ENVELOPE, "the change event's `payload` is not an object")
    op = envelope.get("op")
    skipped = _SKIPPED_OPS.get(op) if isinstance(op, str) else None
    if skipped is not None:
        return skipped
    if op not in ("c", "r"):
        raise SchemaError(Reason.NOT_AN_ENVELOPE, f"`op` is {op!r}; one of c, r, u, d, t, m was expected")
    return _inserted(op, envelope)


def _inserted(op: str, envelope: dict[str, Any]) -> Change:
    row, source = envelope.get("after"), envelope.get("source")
    if not isinstance(row, dict) or not isinstance(source, dict):
        raise SchemaError(Reason.NOT_AN_ENVELOPE, f"op {op} needs the objects `after` and `source`")
    try:
        return Change(
            op=op,
            table=source["table"],
            row=row,
            commit_ms=int(source["ts_ms"]),
            lsn=int(source.get("lsn") or 0),
            tx_id=source.get("txId"),
            previous_commit_lsn=_previous_commit_lsn(source.get("sequence")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SchemaError(Reason.NOT_AN_ENVELOPE, f"`source` is not a PostgreSQL source struct: {error!r}") from error


def _previous_commit_lsn(sequence: str | None) -> int | None:
    if sequence is None:
        return None
    previous = orjson.loads(sequence)[0]
    return None if previous is None else int(previous)
