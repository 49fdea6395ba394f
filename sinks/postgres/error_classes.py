"""Sorts the database's errors by SQLSTATE into: ask again, refuse, defect. Pure.

The invariant: an error that is not known to pass by itself is never retried for ever, and one that is not known to be
about the content is never blamed on a record.
"""

from enum import StrEnum
from typing import Final


class ErrorClass(StrEnum):
    """What can be done about a database error."""

    UNAVAILABLE = "unavailable"
    """Time or another attempt may cure it."""
    REFUSED = "refused"
    """The values are at fault; smaller batches find the one that is."""
    DEFECT = "defect"
    """Neither: missing tables, wrong statements, denied rights. A person has to look."""


_UNAVAILABLE_CLASSES: Final = frozenset(
    {
        "08",  # connection exception
        "40",  # transaction rollback: serialization failure, deadlock
        "53",  # insufficient resources: disk full, out of memory, too many connections
        "57",  # operator intervention: query cancelled, shutdown, cannot connect now
        "58",  # system error outside the database, e.g. I/O
    }
)
_UNAVAILABLE_STATES: Final = frozenset(
    {
        "25006",  # read-only transaction: the server is a standby until the promotion is over
        "25P03",  # idle in transaction for too long
        "55P03",  # lock not available: lock_timeout
    }
)
_REFUSED_CLASSES: Final = frozenset(
    {
        "22",  # data exception: bad text, number out of range
        "23",  # integrity constraint violation other than those that ON CONFLICT expects
        "54",  # program limit exceeded: row or index entry too large
    }
)


def error_class(sqlstate: str) -> ErrorClass:
    """Sort a SQLSTATE (five characters, PostgreSQL appendix A).

    >>> error_class("40P01").value
    'unavailable'
    """
    if sqlstate in _UNAVAILABLE_STATES or sqlstate[:2] in _UNAVAILABLE_CLASSES:
        return ErrorClass.UNAVAILABLE
    if sqlstate[:2] in _REFUSED_CLASSES:
        return ErrorClass.REFUSED
    return ErrorClass.DEFECT
