"""Applies and takes back the numbered migrations of schemas/sql; each in a transaction of its own.

The history stands in `bongsu_schema_migrations`. Two processes that migrate at once wait for each other on an advisory
lock. A file that was changed after it was applied is an error: what runs must be what is in the repository.
"""

import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

import psycopg

_LOCK_KEY: Final = 0x626F6E67737500  # "bongsu\0": the advisory lock that migrating processes meet on
_COLUMNS: Final = ("dispatch_target", "sink_type")

_HISTORY: Final = """
CREATE TABLE IF NOT EXISTS bongsu_schema_migrations (
    number     integer     PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""

_DROPPED: Final = re.compile(r"^DROP TABLE (?:IF EXISTS )?(\w+)", re.MULTILINE)


class MigrationError(Exception):
    """The database cannot be migrated; the sentence says why and what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered pair of files.

    Attributes:
        number: its place, from 1.
        name: the files' name without number and ending.
        up, down: SQL text.
    """

    number: int
    name: str
    up: str
    down: str

    @property
    def checksum(self) -> str:
        """Digest of the way up."""
        return hashlib.sha256(self.up.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class MigrationState:
    """A migration and when it was applied (ISO text, None when it was not)."""

    number: int
    name: str
    applied_at: str | None


def migrations(dispatch_target_column: str = "dispatch_target") -> list[Migration]:
    """The migrations of this release, in order.

    Args:
        dispatch_target_column: `dispatch_target` or `sink_type` (001 §6-3).

    Raises:
        MigrationError: another column name.
    """
    if dispatch_target_column not in _COLUMNS:
        raise MigrationError(
            f"DISPATCH_TARGET_COLUMN is {dispatch_target_column!r}; it must be one of {', '.join(_COLUMNS)}"
        )
    folder = resources.files("schemas").joinpath("sql")
    found = []
    for entry in sorted(folder.iterdir(), key=lambda path: path.name):
        if not entry.name.endswith(".up.sql"):
            continue
        number, _, name = entry.name.removesuffix(".up.sql").partition("_")
        down = folder.joinpath(f"{number}_{name}.down.sql").read_text(encoding="utf-8")
        texts = [
            text.replace("{dispatch_target_column}", dispatch_target_column)
            for text in (entry.read_text(encoding="utf-8"), down)
        ]
        found.append(Migration(int(number), name, *texts))
    return found


def apply(conn: psycopg.Connection[Any], dispatch_target_column: str = "dispatch_target") -> list[Migration]:
    """Bring the database to this release.

    Args:
        conn: a connection outside any transaction.
        dispatch_target_column: the column name of the dispatch outbox.

    Returns:
        the migrations that were applied now, in order; empty when there was nothing to do.

    Raises:
        MigrationError: the history does not fit the files.
    """
    done = []
    for migration in migrations(dispatch_target_column):
        with conn.transaction():
            _lock(conn)
            applied = _history(conn).get(migration.number)
            if applied is not None:
                _check(migration, applied)
                continue
            conn.execute(migration.up.encode())
            conn.execute(
                "INSERT INTO bongsu_schema_migrations (number, name, checksum) VALUES (%s, %s, %s)",
                (migration.number, migration.name, migration.checksum),
            )
            done.append(migration)
    return done


def rollback(
    conn: psycopg.Connection[Any], to: int, dispatch_target_column: str = "dispatch_target"
) -> list[Migration]:
    """Take back every migration above `to`, newest first.

    Returns:
        the migrations that were taken back.

    Raises:
        MigrationError: `to` is not between 0 and the newest migration.
    """
    known = migrations(dispatch_target_column)
    if not 0 <= to <= known[-1].number:
        raise MigrationError(f"there is no migration {to}; choose 0 (everything back) to {known[-1].number}")
    undone = []
    for migration in reversed(known):
        if migration.number <= to:
            break
        with conn.transaction():
            _lock(conn)
            if migration.number not in _history(conn):
                continue
            conn.execute(migration.down.encode())
            conn.execute("DELETE FROM bongsu_schema_migrations WHERE number = %s", (migration.number,))
            undone.append(migration)
    return undone


def tables_lost(conn: psycopg.Connection[Any], to: int, dispatch_target_column: str = "dispatch_target") -> list[str]:
    """The tables, with all their rows, that `rollback` to `to` would drop; empty when it takes back no table."""
    applied = {state.number for state in status(conn, dispatch_target_column) if state.applied_at is not None}
    return [
        table
        for migration in migrations(dispatch_target_column)
        if migration.number > to and migration.number in applied
        for table in _DROPPED.findall(migration.down)
    ]


def status(conn: psycopg.Connection[Any], dispatch_target_column: str = "dispatch_target") -> list[MigrationState]:
    """Every migration of this release and whether it was applied; changes nothing."""
    there = conn.execute("SELECT to_regclass('bongsu_schema_migrations')").fetchone()
    applied: dict[int, str] = {}
    if there is not None and there[0] is not None:
        rows = conn.execute("SELECT number, applied_at FROM bongsu_schema_migrations").fetchall()
        applied = {number: applied_at.isoformat() for number, applied_at in rows}
    return [
        MigrationState(migration.number, migration.name, applied.get(migration.number))
        for migration in migrations(dispatch_target_column)
    ]


def _lock(conn: psycopg.Connection[Any]) -> None:
    conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
    conn.execute(_HISTORY)


def _history(conn: psycopg.Connection[Any]) -> dict[int, str]:
    rows = conn.execute("SELECT number, checksum FROM bongsu_schema_migrations").fetchall()
    return {int(number): str(checksum) for number, checksum in rows}


def _check(migration: Migration, applied_checksum: str) -> None:
    if applied_checksum != migration.checksum:
        raise MigrationError(
            f"migration {migration.number} ({migration.name}) was applied with another text (checksum "
            f"{applied_checksum}, here {migration.checksum}); was DISPATCH_TARGET_COLUMN changed, or the file?"
        )
