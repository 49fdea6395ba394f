"""PostgreSQL's replication frames and pgoutput (proto_version 1) messages, decoded without I/O; pure.

Layouts: PostgreSQL documentation, "Streaming Replication Protocol" and "Logical Replication Message Formats".
Values stay the server's text bytes: `capture.encoding` turns them into JSON. One `Decoder` serves one
connection, since the server describes a relation again after every reconnect. Invariant: a frame is consumed
to its last byte or is malformed.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from capture.errors import MalformedFrame

POSTGRES_EPOCH_US: Final = 946_684_800_000_000
"""2000-01-01, the zero of PostgreSQL's clock, in Unix microseconds."""

_U16: Final = struct.Struct(">H").unpack_from
_U32: Final = struct.Struct(">I").unpack_from
_U64: Final = struct.Struct(">Q").unpack_from
_XLOG_HEADER: Final = 25
_TAG_AT: Final = _XLOG_HEADER
_BODY: Final = _XLOG_HEADER + 1


class Unchanged:
    """Stands for a TOASTed value that an UPDATE did not touch: the server does not send it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED: Final = Unchanged()
Value: TypeAlias = bytes | Unchanged | None
"""A column's text, SQL NULL, or a TOASTed value that was not sent."""
Row: TypeAlias = list[Value]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a relation: `type_oid` and `typmod` as in pg_attribute, `key` if in the replica identity."""

    name: str
    type_oid: int
    typmod: int
    key: bool


@dataclass(frozen=True, slots=True)
class Keepalive:
    """The server's sign of life: it has sent everything up to `wal_end`."""

    wal_end: int
    reply_requested: bool


@dataclass(frozen=True, slots=True)
class Begin:
    """A transaction starts; `commit_us` is its commit time in Unix µs, `final_lsn` its commit record's LSN."""

    final_lsn: int
    commit_us: int
    xid: int


@dataclass(frozen=True, slots=True)
class Commit:
    """A transaction is whole; `end_lsn` is the position to confirm."""

    commit_lsn: int
    end_lsn: int
    commit_us: int


@dataclass(frozen=True, slots=True)
class Relation:
    """A table's shape; `replica_identity` is pg_class.relreplident (`d`, `f`, `i`, `n`)."""

    relation_id: int
    schema: str
    table: str
    replica_identity: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Type:
    """A type that is not built in; a domain is described by the name of its base type."""

    type_oid: int
    schema: str
    name: str


@dataclass(frozen=True, slots=True)
class Insert:
    """A row was inserted; `lsn` is where its record starts, not unique per row."""

    lsn: int
    relation_id: int
    row: Row


@dataclass(frozen=True, slots=True)
class Update:
    """A row was changed; `old` is whole if `old_whole` (replica identity FULL), else its key columns or None."""

    lsn: int
    relation_id: int
    old: Row | None
    old_whole: bool
    row: Row


@dataclass(frozen=True, slots=True)
class Delete:
    """A row was deleted; `old` is whole if `old_whole`, else its key columns only."""

    lsn: int
    relation_id: int
    old: Row
    old_whole: bool


@dataclass(frozen=True, slots=True)
class Truncate:
    """Tables were truncated."""

    lsn: int
    relation_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """The transaction came from another server."""

    origin_lsn: int
    name: str


@dataclass(frozen=True, slots=True)
class LogicalMessage:
    """pg_logical_emit_message; heartbeats are such messages outside transactions."""

    lsn: int
    transactional: bool
    prefix: str
    content: bytes


Message: TypeAlias = (
    Keepalive | Begin | Commit | Relation | Type | Insert | Update | Delete | Truncate | Origin | LogicalMessage
)


class Decoder:
    """Decodes the frames of one connection and remembers the relations and types it was told of."""

    def __init__(self) -> None:
        self.relations: dict[int, Relation] = {}
        self.types: dict[int, Type] = {}

    def decode(self, frame: bytes) -> Message:
        """Decode one CopyData payload.

        Raises:
            MalformedFrame: unknown tag, truncated, or bytes left over.
        """
        try:
            if frame[0] == 0x77:  # w: XLogData; rows first, since nearly all frames are rows
                if frame[_TAG_AT] == 0x49:  # I
                    return _insert(frame)
                return self._decode_other(frame)
            if frame[0] == 0x6B:  # k
                return _keepalive(frame)
        except (IndexError, struct.error, ValueError) as error:
            raise MalformedFrame(f"a replication frame of {len(frame)} bytes is truncated: {error}") from error
        raise MalformedFrame(f"a replication frame has the unknown tag {frame[0]:#04x}")

    def _decode_other(self, frame: bytes) -> Message:
        tag = frame[_TAG_AT]
        read = _READERS.get(tag)
        if read is None:
            raise MalformedFrame(f"a pgoutput message has the unknown tag {tag:#04x}; proto_version 1 was asked for")
        message = read(frame)
        if isinstance(message, Relation):
            self.relations[message.relation_id] = message
        elif isinstance(message, Type):
            self.types[message.type_oid] = message
        return message


def _keepalive(frame: bytes) -> Keepalive:
    _expect_end(frame, 18)
    return Keepalive(_U64(frame, 1)[0], frame[17] == 1)


def _insert(frame: bytes) -> Insert:
    if frame[_BODY + 4] != 0x4E:  # N
        raise MalformedFrame("an insert carries no new row")
    row, end = _row(frame, _BODY + 5)
    _expect_end(frame, end)
    return Insert(_U64(frame, 1)[0], _U32(frame, _BODY)[0], row)


def _row(frame: bytes, at: int) -> tuple[Row, int]:
    (count,) = _U16(frame, at)
    at += 2
    row: Row = []
    append, u32 = row.append, _U32
    for _ in range(count):
        kind = frame[at]
        if kind == 0x74:  # t: text
            start = at + 5
            at = start + u32(frame, at + 1)[0]
            append(frame[start:at])
        elif kind == 0x6E:  # n: null
            append(None)
            at += 1
        elif kind == 0x75:  # u: unchanged
            append(UNCHANGED)
            at += 1
        else:
            raise MalformedFrame(f"a column has the format {kind:#04x}; text was asked for")
    return row, at


def _update(frame: bytes) -> Update:
    at, old, kind = _BODY + 4, None, frame[_BODY + 4]
    if kind != 0x4E:
        _expect_old(kind)
        old, at = _row(frame, at + 1)
        if frame[at] != 0x4E:
            raise MalformedFrame("an update carries no new row")
    row, end = _row(frame, at + 1)
    _expect_end(frame, end)
    return Update(_U64(frame, 1)[0], _U32(frame, _BODY)[0], old, kind == 0x4F, row)


def _delete(frame: bytes) -> Delete:
    kind = frame[_BODY + 4]
    _expect_old(kind)
    old, end = _row(frame, _BODY + 5)
    _expect_end(frame, end)
    return Delete(_U64(frame, 1)[0], _U32(frame, _BODY)[0], old, kind == 0x4F)


def _expect_old(kind: int) -> None:
    if kind not in (0x4B, 0x4F):  # K, O
        raise MalformedFrame(f"an old row has the unknown kind {kind:#04x}")


def _begin(frame: bytes) -> Begin:
    _expect_end(frame, _BODY + 20)
    return Begin(_U64(frame, _BODY)[0], _time_us(frame, _BODY + 8), _U32(frame, _BODY + 16)[0])


def _commit(frame: bytes) -> Commit:
    _expect_end(frame, _BODY + 25)
    return Commit(_U64(frame, _BODY + 1)[0], _U64(frame, _BODY + 9)[0], _time_us(frame, _BODY + 17))


def _relation(frame: bytes) -> Relation:
    (relation_id,) = _U32(frame, _BODY)
    schema, at = _text(frame, _BODY + 4)
    table, at = _text(frame, at)
    identity = chr(frame[at])
    (count,) = _U16(frame, at + 1)
    at += 3
    columns = []
    for _ in range(count):
        flags = frame[at]
        name, at = _text(frame, at + 1)
        type_oid, typmod = struct.unpack_from(">Ii", frame, at)
        columns.append(Column(name, type_oid, typmod, bool(flags & 1)))
        at += 8
    _expect_end(frame, at)
    return Relation(relation_id, schema or "pg_catalog", table, identity, tuple(columns))


def _type(frame: bytes) -> Type:
    schema, at = _text(frame, _BODY + 4)
    name, at = _text(frame, at)
    _expect_end(frame, at)
    return Type(_U32(frame, _BODY)[0], schema or "pg_catalog", name)


def _truncate(frame: bytes) -> Truncate:
    (count,) = _U32(frame, _BODY)
    _expect_end(frame, _BODY + 5 + 4 * count)
    return Truncate(_U64(frame, 1)[0], struct.unpack_from(f">{count}I", frame, _BODY + 5))


def _origin(frame: bytes) -> Origin:
    name, at = _text(frame, _BODY + 8)
    _expect_end(frame, at)
    return Origin(_U64(frame, _BODY)[0], name)


def _logical_message(frame: bytes) -> LogicalMessage:
    prefix, at = _text(frame, _BODY + 9)
    end = at + 4 + _U32(frame, at)[0]
    _expect_end(frame, end)
    return LogicalMessage(_U64(frame, _BODY + 1)[0], frame[_BODY] == 1, prefix, frame[at + 4 : end])


_READERS: Final[Mapping[int, Callable[[bytes], Message]]] = {
    ord("B"): _begin,
    ord("C"): _commit,
    ord("R"): _relation,
    ord("Y"): _type,
    ord("U"): _update,
    ord("D"): _delete,
    ord("T"): _truncate,
    ord("O"): _origin,
    ord("M"): _logical_message,
}


def _text(frame: bytes, at: int) -> tuple[str, int]:
    end = frame.index(0, at)
    return frame[at:end].decode(), end + 1


def _time_us(frame: bytes, at: int) -> int:
    (since_2000_us,) = struct.unpack_from(">q", frame, at)
    return POSTGRES_EPOCH_US + int(since_2000_us)


def _expect_end(frame: bytes, end: int) -> None:
    if len(frame) != end:
        raise MalformedFrame(f"a replication frame has {len(frame)} bytes where {end} were announced")
