"""Signals: what is counted, and how a captured row contributes to it; pure.

A signal reads one table, groups its rows by some columns and adds up some sums per group. Several rules may read one
signal. A series is one group of one signal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas.errors import Reason, SchemaError


@dataclass(frozen=True, order=True, slots=True)
class Series:
    """One group of one signal; `group` has one value for each of the signal's `group_by` columns."""

    signal: str
    group: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sum:
    """One number that a signal adds up.

    Attributes:
        name: its name in rules.
        add: what a row adds: a constant, or the name of an integer column.
        where: column to the values that it must have for the row to count here.
    """

    name: str
    add: int | str
    where: Mapping[str, frozenset[str]]

    def amount(self, row: Mapping[str, Any]) -> int:
        """What a row adds, 0 where `where` does not hold.

        Raises:
            SchemaError: MISSING_FIELD or INVALID_FIELD, naming the column.
        """
        for column, values in self.where.items():
            if str(_column(row, column)) not in values:
                return 0
        if isinstance(self.add, int):
            return self.add
        amount = _column(row, self.add)
        if not isinstance(amount, int) or isinstance(amount, bool) or amount < 0:
            raise SchemaError(Reason.INVALID_FIELD, f"column {self.add} is {amount!r}; a count was expected")
        return amount


@dataclass(frozen=True, slots=True)
class Signal:
    """What is counted.

    Attributes:
        name: its name in rules and in state.
        table: the captured table.
        key_column: primary key, by which rows that share an LSN are told apart.
        group_by: columns whose values name the series.
        sums: what is added up, in the order in which state keeps it.
    """

    name: str
    table: str
    key_column: str
    group_by: tuple[str, ...]
    sums: tuple[Sum, ...]

    @property
    def sum_names(self) -> tuple[str, ...]:
        """Names of the sums, in order."""
        return tuple(entry.name for entry in self.sums)

    def key_of(self, row: Mapping[str, Any]) -> str:
        """The row's primary key as text.

        Raises:
            SchemaError: MISSING_FIELD.
        """
        return str(_column(row, self.key_column))

    def series_of(self, row: Mapping[str, Any]) -> Series:
        """The series that the row belongs to.

        Raises:
            SchemaError: MISSING_FIELD.
        """
        return Series(self.name, tuple(str(_column(row, column)) for column in self.group_by))

    def amounts_of(self, row: Mapping[str, Any]) -> tuple[int, ...]:
        """What the row adds to each sum.

        Raises:
            SchemaError: MISSING_FIELD or INVALID_FIELD.
        """
        return tuple(entry.amount(row) for entry in self.sums)


def _column(row: Mapping[str, Any], column: str) -> Any:
    value = row.get(column)
    if value is None:
        raise SchemaError(Reason.MISSING_FIELD, f"the row has no {column}")
    return value
