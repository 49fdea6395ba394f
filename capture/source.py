"""What the source database says about itself: clock, end of log, epoch; I/O.

Relay, sweeper and progress writer name one source by one epoch: system identifier and timeline, as
IDENTIFY_SYSTEM has them on a walsender connection and `sql/source_position.sql` on an ordinary one.
"""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row

from capture.sql import statement


@dataclass(frozen=True, slots=True)
class SourcePosition:
    """`clock_ms` (source clock, Unix ms) was read before `current_lsn`, where the next WAL record will start."""

    clock_ms: int
    current_lsn: int
    epoch: str


def source_position(connection: psycopg.Connection[Any]) -> SourcePosition:
    """Ask the database where it stands."""
    with connection.cursor(row_factory=class_row(SourcePosition)) as cursor:
        position = cursor.execute(statement("source_position")).fetchone()
    assert position is not None
    return position
