"""`alerts tail`: the present state of every alert, then each change as it is published."""

from collections.abc import Iterable, Iterator
from typing import Any

import click

from ops.cli.output import cell
from ops.cli.session import Session, say
from ops.cli.verbs import Verbs, pass_session

_COLUMNS = ("updated", "status", "severity", "priority", "rule", "labels", "value", "threshold", "samples", "since")


def register(root: Verbs) -> None:
    """Add the verbs of this module."""
    alerts = root.verbs("alerts", "Watch the alerts.")

    @alerts.verb(
        "tail",
        examples=[
            "./bongsu alerts tail",
            "./bongsu alerts tail --no-follow --output json",
            "./bongsu alerts tail -o jsonl",
        ],
    )
    @click.option("--follow/--no-follow", default=True, show_default=True, help="Go on with every new change.")
    @click.option("--firing", is_flag=True, help="Only alerts that fire now; with --follow, all changes after that.")
    @pass_session
    def tail(session: Session, follow: bool, firing: bool) -> None:
        """Show the last record of every alert, then follow the topic."""
        if follow and session.output == "json":
            raise click.UsageError("one JSON document has an end: use --output jsonl, or --no-follow.")
        present, changes = _read(session, follow)
        if firing:
            present = [row for row in present if row["status"] == "firing"]
        session.printer.rows(present, _COLUMNS)
        if follow:
            say("following; Ctrl-C ends.")
            _follow(session, changes)


def _read(session: Session, follow: bool) -> tuple[list[dict[str, Any]], Iterator[dict[str, Any]]]:
    """The latest record per fingerprint, and an iterator over what comes after."""
    changes = _changes(session, follow)
    latest: dict[str, dict[str, Any]] = {}
    for change in changes:
        if change is None:
            break
        latest[change["fingerprint"]] = change
    rows = sorted(latest.values(), key=lambda row: row["updated"])
    return rows, (change for change in changes if change is not None)


def _changes(session: Session, follow: bool) -> Iterator[dict[str, Any] | None]:
    """Every decoded record; None once when the present end was reached."""
    from ops.cluster import records
    from ops.registry import Decoder, registry
    from topics.registry import ALERTS

    with registry(session.settings) as client:
        decoder = Decoder(client)
        for record in records(session.settings, ALERTS, follow=follow):
            if record is None:
                yield None
            elif record.value is not None:
                yield as_row(decoder.decode("alert", record.value))


def as_row(alert: dict[str, Any]) -> dict[str, Any]:
    """A decoded alert as a row: readable times in front, the whole record behind."""
    from ops.dead_letters import time_text

    row = {
        "updated": time_text(alert["updatedAt"]),
        "since": time_text(alert["startsAt"]),
        "ended": time_text(alert["endsAt"]) if alert["endsAt"] is not None else None,
    }
    return {**row, **{key: value for key, value in alert.items() if key not in row}}


def _follow(session: Session, changes: Iterable[dict[str, Any]]) -> None:
    for row in changes:
        if session.output == "jsonl":
            session.printer.line(row)
        else:
            session.printer.text("  ".join(cell(row.get(column)) for column in _COLUMNS))
