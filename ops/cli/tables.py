"""`tables`: the stream tables as they are now."""

import time
from typing import Any

import click

from ops.cli.output import table
from ops.cli.session import Session
from ops.cli.verbs import Verbs, pass_session

_COLUMNS = {
    "windows": (
        "rule", "labels", "window_s", "sums", "value", "samples", "window_end", "fence_lsn", "newest_change_age_s",
    ),
    "positions": ("topic", "partition", "next_offset", "generation", "newest_change", "age_s"),
    "alerts": ("rule", "group", "phase", "severity", "active_since", "no_data", "evaluated", "generation"),
}  # fmt: skip


def register(root: Verbs) -> None:
    """Add the verb of this module."""

    @root.verb("tables", examples=["./bongsu tables", "./bongsu tables windows", "./bongsu tables --output json"])
    @click.argument("part", required=False, type=click.Choice(tuple(_COLUMNS)))
    @pass_session
    def tables(session: Session, part: str | None) -> None:
        """Show window sums, positions and alert states.

        Read from the changelog topics of the windows role, merged as its evaluator merges them: sums per rule and
        series, the fence (last change counted), how old the newest change is, and where each alert stands.
        """
        from ops.window_view import read

        report = read(session.settings, time.time_ns() // 1_000_000)
        chosen = {name: rows for name, rows in report.items() if part in (None, name)}
        _print(session, chosen)


def _print(session: Session, report: dict[str, list[dict[str, Any]]]) -> None:
    printer = session.printer
    if printer.form == "json":
        printer.one(report)
    elif printer.form == "jsonl":
        for kind, rows in report.items():
            for row in rows:
                printer.line({"kind": kind.removesuffix("s"), **row})
    else:
        parts = [table(rows, _COLUMNS[kind], bold=printer.colour) for kind, rows in report.items()]
        printer.text("\n\n".join(parts))
