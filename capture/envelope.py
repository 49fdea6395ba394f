"""Rows to Debezium change events: topic, key and value bytes as Debezium 3.3.1 writes plain JSON; pure.

One `TableEncoder` per relation holds everything that is equal for all rows: topic, key columns, column
encoders and the envelope with holes. Field order is the wire's (debezium-contract.md §2 and §4). The one
thing Debezium does and this never does is a null `source.sequence[0]` (design.md §4).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from capture import jackson
from capture.encoding import Encode, encode_column, encoder_for, number, placeholder_for
from capture.errors import KeyColumnsMissing, UndecodableValue
from capture.pgoutput import UNCHANGED, Relation, Row, Type, Unchanged

NULL: Final = b"null"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where changes come from, the same for a whole run: `name` is Debezium's topic.prefix."""

    version: str
    name: str
    database: str


@dataclass(frozen=True, slots=True)
class Stamp:
    """What all changes of one transaction share.

    Attributes:
        commit_us: commit time, Unix µs (time of reading for `r`).
        previous_commit_lsn: end of the previous commit as the reader knows it; never null on the wire.
        xid: transaction id; None for rows read again.
        snapshot: `false`, or `incremental` for rows read again.
    """

    commit_us: int
    previous_commit_lsn: int
    xid: int | None
    snapshot: str = "false"


@dataclass(frozen=True, slots=True)
class Event:
    """One record for Kafka; a null value is a tombstone."""

    key: bytes | None
    value: bytes | None


class TableEncoder:
    """Turns rows of one relation into events.

    Args:
        relation: the table as the server described it.
        origin: connector version, topic prefix and database.
        key_columns: the message key; None takes the replica identity's columns, an empty tuple means a null key.
        types: types that are not built in, as told by the server.

    Raises:
        KeyColumnsMissing: the table has no column of that name.
    """

    def __init__(
        self,
        relation: Relation,
        origin: Origin,
        key_columns: tuple[str, ...] | None,
        types: Mapping[int, Type] | None = None,
    ) -> None:
        self.relation = relation
        self.topic = f"{origin.name}.{relation.schema}.{relation.table}"
        self._encoders: tuple[Encode, ...] = tuple(
            encoder_for(column.type_oid, column.typmod, types) for column in relation.columns
        )
        # Integers are JSON as they come: no call for them.
        self._steps = tuple(None if encode is number else encode for encode in self._encoders)
        self._row_template = _object_template([column.name for column in relation.columns])
        self._key_at = _key_positions(relation, key_columns)
        self._key_template = _object_template([relation.columns[at].name for at in self._key_at])
        self._identity_at = tuple(at for at, column in enumerate(relation.columns) if column.key)
        self._envelope = _envelope_template(relation, origin)

    def insert(self, row: Row, stamp: Stamp, lsn: int, now_ns: int) -> Event:
        """The event of an inserted row (op `c`).

        Raises:
            UndecodableValue: a column has no encoding; names the column.
        """
        encoded = self._encode(row)
        return Event(self._key(encoded), self._value(NULL, self._row_template % encoded, stamp, lsn, now_ns, op=b"c"))

    def read(self, row: Row, stamp: Stamp, now_ns: int) -> Event:
        """The event of a row that was read again (op `r`); `source.lsn` and `txId` are null as in Debezium's."""
        encoded = self._encode(row)
        return Event(self._key(encoded), self._value(NULL, self._row_template % encoded, stamp, None, now_ns, op=b"r"))

    def update(
        self, old: Row | None, row: Row, stamp: Stamp, lsn: int, now_ns: int, *, old_whole: bool
    ) -> Sequence[Event]:
        """The events of a changed row: one `u`, or `d`, tombstone and `c` where the message key changed."""
        after = self._encode(row)
        before = None if old is None else self._encode(old)
        if before is not None and self._key_at and self._key(before) != self._key(after):
            return (*self._deleted(before, stamp, lsn, now_ns), self.insert(row, stamp, lsn, now_ns))
        shown = self._row_template % before if before is not None and old_whole else NULL
        return (Event(self._key(after), self._value(shown, self._row_template % after, stamp, lsn, now_ns, op=b"u")),)

    def delete(self, old: Row, stamp: Stamp, lsn: int, now_ns: int) -> Sequence[Event]:
        """The events of a deleted row: `d` and a tombstone of the same key."""
        return self._deleted(self._encode(old), stamp, lsn, now_ns)

    def key_text(self, row: Row) -> str:
        """`table#identity` of a row for people: raw texts of the replica identity's (else the key's) columns."""
        at = self._identity_at or self._key_at
        return self.relation.table + "#" + ",".join(_shown(row[index]) for index in at)

    def column(self, row: Row, name: str) -> str | None:
        """One column's text; None if null, not sent, or not a column of this table."""
        for at, column in enumerate(self.relation.columns):
            value = row[at] if column.name == name else None
            if isinstance(value, bytes):
                return value.decode(errors="replace")
        return None

    def _deleted(self, before: tuple[bytes, ...], stamp: Stamp, lsn: int, now_ns: int) -> tuple[Event, Event]:
        key = self._key(before)
        value = self._value(self._row_template % before, NULL, stamp, lsn, now_ns, op=b"d")
        return Event(key, value), Event(key, None)

    def _encode(self, row: Row) -> tuple[bytes, ...]:
        try:
            return tuple(
                [
                    NULL if raw is None else raw if step is None else step(raw)  # type: ignore[arg-type, misc]
                    for step, raw in zip(self._steps, row, strict=True)
                ]
            )
        except (AttributeError, TypeError, ValueError):
            # Rare: an UNCHANGED marker, or a value to be named in the error.
            return self._encode_carefully(row)

    def _encode_carefully(self, row: Row) -> tuple[bytes, ...]:
        if len(row) != len(self._encoders):
            raise UndecodableValue(f"a row has {len(row)} columns where {len(self._encoders)} were described")
        encoded = []
        for column, encode, raw in zip(self.relation.columns, self._encoders, row, strict=True):
            if isinstance(raw, Unchanged):
                encoded.append(placeholder_for(column.type_oid))
            else:
                encoded.append(NULL if raw is None else encode_column(column, encode, raw))
        return tuple(encoded)

    def _key(self, encoded: tuple[bytes, ...]) -> bytes | None:
        if not self._key_at:
            return None
        return self._key_template % tuple([encoded[at] for at in self._key_at])

    def _value(self, before: bytes, after: bytes, stamp: Stamp, lsn: int | None, now_ns: int, *, op: bytes) -> bytes:
        commit_us = stamp.commit_us
        return self._envelope % (
            before,
            after,
            commit_us // 1000,
            stamp.snapshot.encode(),
            stamp.previous_commit_lsn,
            stamp.previous_commit_lsn if lsn is None else lsn,
            commit_us,
            commit_us * 1000,
            NULL if stamp.xid is None else b"%d" % stamp.xid,
            NULL if lsn is None else b"%d" % lsn,
            op,
            now_ns // 1_000_000,
            now_ns // 1000,
            now_ns,
        )


def raw_row(relation: Relation, row: Row) -> bytes:
    """A row as a JSON object of its raw texts, for a dead letter whose row has no encoding."""
    shown = {column.name: _or_none(value) for column, value in zip(relation.columns, row, strict=False)}
    return orjson.dumps(shown)


def _or_none(value: bytes | Unchanged | None) -> str | None:
    return value.decode(errors="replace") if isinstance(value, bytes) else None


def _shown(value: bytes | Unchanged | None) -> str:
    return "null" if value is None or value is UNCHANGED else _or_none(value) or ""


def _key_positions(relation: Relation, key_columns: tuple[str, ...] | None) -> tuple[int, ...]:
    names = [column.name for column in relation.columns]
    if key_columns is None:
        return tuple(at for at, column in enumerate(relation.columns) if column.key)
    missing = [name for name in key_columns if name not in names]
    if missing:
        raise KeyColumnsMissing(
            f"table {relation.table} has no column {', '.join(missing)}, which its message key needs"
        )
    return tuple(names.index(name) for name in key_columns)


def _object_template(names: Sequence[str]) -> bytes:
    return b"{" + b",".join(_escaped(jackson.string(name.encode())) + b":%b" for name in names) + b"}"


def _envelope_template(relation: Relation, origin: Origin) -> bytes:
    def text(value: str) -> bytes:
        return _escaped(jackson.string(value.encode()))

    return b"".join(
        (
            b'{"before":%b,"after":%b,"source":{"version":',
            text(origin.version),
            b',"connector":"postgresql","name":',
            text(origin.name),
            b',"ts_ms":%d,"snapshot":"%b","db":',
            text(origin.database),
            b',"sequence":"[\\"%d\\",\\"%d\\"]","ts_us":%d,"ts_ns":%d,"schema":',
            text(relation.schema),
            b',"table":',
            text(relation.table),
            b',"txId":%b,"lsn":%b,"xmin":null},"transaction":null,"op":"%b","ts_ms":%d,"ts_us":%d,"ts_ns":%d}',
        )
    )


def _escaped(name: bytes) -> bytes:
    return name.replace(b"%", b"%%")
