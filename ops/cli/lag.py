"""`lag`: how far each group, the slot and the queues are behind."""

from typing import Any

import click

from ops.cli.output import table
from ops.cli.session import Session, say
from ops.cli.verbs import Verbs, pass_session
from ops.roles import ROLES

_GROUPS = ("group", "topic", "partition", "committed", "end", "lag", "lag_s", "lost")
_SLOTS = ("slot", "active", "lag_bytes", "retained_bytes", "wal_status", "confirmed_lsn", "restart_lsn")
_QUEUES = ("table", "status", "rows", "max_retry", "oldest_s")


def register(root: Verbs) -> None:
    """Add the verb of this module."""

    @root.verb("lag", examples=["./bongsu lag", "./bongsu lag --role push", "./bongsu lag --output json"])
    @click.option("--role", "roles", multiple=True, type=click.Choice(ROLES), help="Only these groups; repeatable.")
    @click.option("--groups-only", is_flag=True, help="Leave out the slot and the queues (no database needed).")
    @pass_session
    def lag(session: Session, roles: tuple[str, ...], groups_only: bool) -> None:
        """Show how far groups, slot and queues are behind.

        Groups per topic and partition in records and seconds, the slot in bytes of log, the queues in rows. Seconds
        are the age of the oldest record that waits; 0 when none does. JSON: one object with groups, slots and queues;
        JSON lines: one object per row with its kind.
        """
        from ops.lag_report import as_row, backlog, group_lags, slot_lags

        settings = session.settings
        report: dict[str, list[dict[str, Any]]] = {
            "groups": [as_row(one) for one in group_lags(settings, roles or ROLES)]
        }
        if not groups_only and settings.database_url is not None:
            report["slots"] = slot_lags(settings)
            report["queues"] = backlog(settings)
        elif not groups_only:
            say("DATABASE_URL is not set: slot and queues are left out.")
        _print(session, report)


def _print(session: Session, report: dict[str, list[dict[str, Any]]]) -> None:
    printer = session.printer
    if printer.form == "json":
        printer.one(report)
        return
    if printer.form == "jsonl":
        for kind, rows in report.items():
            for row in rows:
                printer.line({"kind": kind.removesuffix("s"), **row})
        return
    columns = {"groups": _GROUPS, "slots": _SLOTS, "queues": _QUEUES}
    printer.text("\n\n".join(table(rows, columns[kind], bold=printer.colour) for kind, rows in report.items()))
