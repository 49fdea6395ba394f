"""Rows as a table, one JSON document or JSON lines. The rendering is pure; `Printer` writes it to stdout.

stdout carries data and nothing else; sentences for people go to stderr.
"""

import json
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

Row = Mapping[str, Any]

_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"
_WIDE = frozenset("WF")


def width(text: str) -> int:
    """Columns that a text takes in a terminal: Korean letters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in _WIDE else 1
        for letter in text
    )


def cell(value: Any) -> str:
    """A value as a table shows it: nothing for None, at most millisecond figures, no line breaks."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    # Control characters from a record must not steer the terminal.
    return "".join(letter if letter.isprintable() else " " for letter in str(value))


def table(rows: Sequence[Row], columns: Sequence[str], *, bold: bool = False) -> str:
    """Aligned columns with a heading; numbers to the right. Without rows only the heading."""
    cells = [[cell(row.get(column)) for column in columns] for row in rows]
    widths = [max([width(column), *(width(line[index]) for line in cells)]) for index, column in enumerate(columns)]
    right = [bool(rows) and all(isinstance(row.get(column), int | float | None) for row in rows) for column in columns]

    def aligned(texts: Sequence[str]) -> str:
        parts = []
        for text, wanted, to_right in zip(texts, widths, right, strict=True):
            space = " " * (wanted - width(text))
            parts.append(space + text if to_right else text + space)
        return "  ".join(parts).rstrip()

    heading = aligned([column.replace("_", " ").upper() for column in columns])
    return "\n".join([f"{_BOLD}{heading}{_PLAIN}" if bold else heading, *map(aligned, cells)])


def listing(record: Row) -> str:
    """One record as `key: value` lines."""
    longest = max((width(key) for key in record), default=0)
    return "\n".join(f"{key + ':':<{longest + 1}} {cell(value)}".rstrip() for key, value in record.items())


def as_json(value: Any, *, indent: int | None = None) -> str:
    """JSON with readable Korean; what JSON does not know becomes its text."""
    return json.dumps(value, ensure_ascii=False, default=str, indent=indent)


@dataclass(frozen=True, slots=True)
class Printer:
    """Writes data in the form that was asked for."""

    form: str
    """`table`, `json` or `jsonl`."""
    colour: bool = False
    out: IO[str] | None = None

    def rows(self, rows: Iterable[Row], columns: Sequence[str]) -> None:
        """Any number of rows; a table shows `columns`, JSON everything."""
        if self.form == "jsonl":
            for row in rows:
                self.line(row)
        elif self.form == "json":
            self._write(as_json([dict(row) for row in rows], indent=2))
        else:
            self._write(table(list(rows), columns, bold=self.colour))

    def one(self, record: Row) -> None:
        """A single record."""
        if self.form == "table":
            self._write(listing(record))
        else:
            self._write(as_json(dict(record), indent=2 if self.form == "json" else None))

    def line(self, record: Row) -> None:
        """One record of a stream as a JSON line, flushed so that a reader sees it at once."""
        self._write(as_json(dict(record)))

    def text(self, text: str) -> None:
        """A line that is already in its form."""
        self._write(text)

    def _write(self, text: str) -> None:
        # Looked up at each call: tests and pagers replace sys.stdout.
        print(text, file=self.out or sys.stdout, flush=True)
