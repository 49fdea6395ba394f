"""Publication and replication slot: making them, reading their state, and telling their failures apart.

The relay makes both, publication first (a slot without a reader fills the disk, so no migration makes one). A
new slot is born under a second name and copied to its own only after the sweep that must come first: whoever
finds the slot by its name may stream at once, even if the relay that made it was killed half-way.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, LiteralString, TypeAlias

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from capture.errors import ConfigurationRefused
from capture.sql import statement

Connection: TypeAlias = psycopg.Connection[Any]

_UNSWEPT: Final = "_unswept"
_NAME_MAX: Final = 63
_HOUR_S: Final = 3600.0


class SlotFailure(Enum):
    """What a refused or ended stream means for the relay."""

    TAKEN = auto()
    """Another relay holds the slot: wait as its standby."""
    LOST = auto()
    """The slot is gone or invalidated: make it again, sweep, then stream."""
    TRANSIENT = auto()
    """The server is away, restarting or full: try again."""
    CONFIGURATION = auto()
    """Trying again cannot help."""


def classify(sqlstate: str | None, sentence: str = "") -> SlotFailure:
    """What a SQLSTATE of START_REPLICATION or of a running stream means (debezium-contract.md §9 traps 2 and 14)."""
    if sqlstate == "55006":
        return SlotFailure.TAKEN
    if sqlstate in ("42704", "55000"):
        # 42704 also names a missing publication, and 55000 a server that must not decode at all.
        if "publication" in sentence or "wal_level" in sentence:
            return SlotFailure.CONFIGURATION
        return SlotFailure.LOST
    if sqlstate is not None and sqlstate[:2] in ("28", "3D", "42"):
        return SlotFailure.CONFIGURATION
    return SlotFailure.TRANSIENT


@dataclass(frozen=True, slots=True)
class SlotState:
    """A row of pg_replication_slots with the positions as byte counts; see sql/slot_state.sql."""

    slot_name: str
    plugin: str
    active: bool
    active_pid: int | None
    restart_lsn: int | None
    confirmed_flush_lsn: int | None
    current_lsn: int
    wal_status: str | None
    safe_wal_size: int | None

    @property
    def lost(self) -> bool:
        """Whether the server removed WAL that the slot needs; it can never stream again."""
        return self.wal_status == "lost" or self.confirmed_flush_lsn is None


class RecreationBudget:
    """Bounds how often a lost slot is made again; the clock is passed in."""

    def __init__(self, per_hour: int) -> None:
        self._per_hour = per_hour
        self._spent: deque[float] = deque()

    def spend(self, now_s: float) -> bool:
        """Take one recreation; False if the hour's are used up."""
        while self._spent and now_s - self._spent[0] >= _HOUR_S:
            self._spent.popleft()
        if len(self._spent) >= self._per_hour:
            return False
        self._spent.append(now_s)
        return True


def require_logical(connection: Connection) -> None:
    """Make sure that the server can decode its log.

    Raises:
        ConfigurationRefused: wal_level is not logical.
    """
    row = connection.execute("SHOW wal_level").fetchone()
    level = row[0] if row else "unknown"
    if level != "logical":
        raise ConfigurationRefused(
            f"PostgreSQL's wal_level is {level}; set wal_level = logical in postgresql.conf and restart the server"
        )


def ensure_publication(connection: Connection, name: str, tables: tuple[str, ...]) -> tuple[str, ...]:
    """Make the publication, or add the tables it lacks; returns the tables that were added.

    Raises:
        ConfigurationRefused: a table does not exist, or the publication carries more than inserts of whole tables.
    """
    missing = _missing_tables(connection, tables)
    if missing:
        raise ConfigurationRefused(
            f"the database has no table {', '.join(missing)} in schema public; run './bongsu migrate' first"
        )
    row = connection.execute(statement("publication_shape"), {"publication": name}).fetchone()
    listed = sql.SQL(", ").join(sql.Identifier("public", table) for table in tables)
    if row is None:
        _execute(connection, "CREATE PUBLICATION {name} FOR TABLE {tables} WITH (publish = 'insert')", name, listed)
        return tables
    inserts_only, covers_all = row
    if not inserts_only:
        raise ConfigurationRefused(
            f"publication {name} does not publish inserts only; ALTER PUBLICATION {name} SET (publish = 'insert')"
        )
    if covers_all:
        return ()
    present = {table for (table,) in connection.execute(statement("publication_tables"), {"publication": name})}
    added = tuple(table for table in tables if table not in present)
    if added:
        listed = sql.SQL(", ").join(sql.Identifier("public", table) for table in added)
        _execute(connection, "ALTER PUBLICATION {name} ADD TABLE {tables}", name, listed)
    return added


def slot_state(connection: Connection, name: str) -> SlotState | None:
    """The slot as the server sees it; None if there is none of that name."""
    with connection.cursor(row_factory=class_row(SlotState)) as cursor:
        return cursor.execute(statement("slot_state"), {"slot": name}).fetchone()


def unswept(name: str) -> str:
    """The provisional name of a slot."""
    return name[: _NAME_MAX - len(_UNSWEPT)] + _UNSWEPT


def create_unswept(connection: Connection, name: str) -> None:
    """Make a slot under its provisional name; the sweep that follows covers everything committed before it."""
    drop(connection, unswept(name))
    connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (unswept(name),))


def adopt_swept(connection: Connection, name: str) -> None:
    """Give the swept slot its own name, in place of a lost one of that name."""
    drop(connection, name)
    connection.execute("SELECT pg_copy_logical_replication_slot(%s, %s)", (unswept(name), name))
    drop(connection, unswept(name))


def drop(connection: Connection, name: str) -> None:
    """Drop a slot if there is one of that name that nobody reads."""
    connection.execute(statement("drop_slot"), {"slot": name})


def try_lock(connection: Connection, name: str) -> bool:
    """Take the advisory lock under which slots are made and streams start; held until the connection closes."""
    row = connection.execute(
        "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (f"bongsu relay {name}",)
    ).fetchone()
    return bool(row and row[0])


def unlock(connection: Connection, name: str) -> None:
    """Give the advisory lock back."""
    connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (f"bongsu relay {name}",))


def _missing_tables(connection: Connection, tables: tuple[str, ...]) -> list[str]:
    rows = connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename = ANY(%s)", (list(tables),)
    )
    present = {table for (table,) in rows}
    return [table for table in tables if table not in present]


def _execute(connection: Connection, template: LiteralString, name: str, tables: sql.Composable) -> None:
    connection.execute(sql.SQL(template).format(name=sql.Identifier(name), tables=tables))
