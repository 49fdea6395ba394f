"""Runs a demo for a person or a script: screen, control socket, traffic, and at the end the report."""

import contextlib
import json
import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from devstack.demo.audit import Discrepancy, audit
from devstack.demo.control import Card, ControlServer, keep_run_dir, make_run_dir, remove_run_dir
from devstack.demo.figures import History
from devstack.demo.quiet import NotQuiet, Stillness
from devstack.demo.report import as_table, report
from devstack.demo.session import Demo, Options
from devstack.demo.signals import uninterrupted
from devstack.demo.view import Heading, Screen
from devstack.java_libraries import JavaMissing
from devstack.postgres import WHEEL_VERSION, PostgresMissing
from devstack.processes import StartFailed
from ops.exit_codes import ExitCode

_DRAW_EVERY_S: Final = 0.5
_LOG_LINES: Final = 6
_NOTES: Final = {
    "embedded": "The broker lives in memory, keeps 5 MB per partition and forgets everything at the end.",
    "real": "Its data is deleted at the end.",
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asked for.

    Attributes:
        options: what to run.
        ends: wait until quiet, audit, report, end.
        timeout_s: how long to wait for quiet.
        as_json: form of the report.
        keep: keep the run directory.
    """

    options: Options
    ends: bool
    timeout_s: float
    as_json: bool
    keep: bool


def run_demo(wish: Wish, console: Console) -> int:
    """Run it and return the exit code; whatever happens, nothing stays behind."""
    started_s = time.monotonic()
    demo_id, run_dir = make_run_dir()
    try:
        return _run(wish, console, demo_id, run_dir, started_s)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except (JavaMissing, PostgresMissing, StartFailed, TimeoutError) as error:
        console.print(str(error), soft_wrap=True, markup=False, highlight=False)
        return ExitCode.UNAVAILABLE
    finally:
        if wish.keep:
            keep_run_dir(run_dir)
            console.print(f"The run directory is kept: {run_dir}", markup=False, highlight=False)
        else:
            with uninterrupted():
                remove_run_dir(run_dir)


def _run(wish: Wish, console: Console, demo_id: str, run_dir: Path, started_s: float) -> int:
    def say(sentence: str) -> None:
        # The terminal may be gone, and that is when stopping in order matters.
        with contextlib.suppress(OSError):
            console.print(f"{time.monotonic() - started_s:5.1f} s  {sentence}", markup=False, highlight=False)

    with Demo(wish.options, run_dir, say) as demo:
        say(f"ready; this is demo {demo_id}")
        started_at = datetime.now(UTC).isoformat(timespec="seconds")
        card = Card(demo_id, os.getpid(), wish.options.stack, started_at)
        server = ControlServer(run_dir, card, demo.faults.carry_out)
        try:
            demo.start_traffic()
            trouble = _watch(demo, wish, Screen(console, _heading(demo_id, wish.options)))
            if not wish.ends:
                return ExitCode.OK
            seconds = time.monotonic() - started_s
            said = _report(demo, trouble, seconds)
        finally:
            server.close()
    text = json.dumps(said, ensure_ascii=False) if wish.as_json else as_table(said)
    click.echo(text)
    sys.stdout.flush()
    return ExitCode.OK if said["audit"] == "pass" else ExitCode.FAILED


def _watch(demo: Demo, wish: Wish, screen: Screen) -> list[str]:
    """Show figures until the run is over; returns what kept it from coming to rest."""
    history, stillness = History(), Stillness()
    deadline_s = time.monotonic() + wish.timeout_s
    with screen:
        while True:
            figures = demo.figures()
            history.add(figures)
            screen.show(figures, history.rates(), demo.lines.last(_LOG_LINES))
            if wish.ends:
                activity = demo.activity()
                if stillness.over(activity, time.monotonic()):
                    return []
                if time.monotonic() > deadline_s or demo.given_up():
                    return [f"quiet: {NotQuiet(f'not at rest after {wish.timeout_s:.0f} s: {activity}')}"]
            time.sleep(_DRAW_EVERY_S)


def _heading(demo_id: str, options: Options) -> Heading:
    parts = (
        f"embedded PostgreSQL {WHEEL_VERSION} and in-memory broker"
        if options.stack == "embedded"
        else f"PostgreSQL {options.postgres} and Kafka"
    )
    return Heading(demo_id, parts, _NOTES[options.stack], options.times_faster)


def _report(demo: Demo, trouble: list[str], seconds: float) -> dict[str, Any]:
    ledgers = demo.ledgers()
    found: list[Discrepancy | str] = [*trouble, *demo.lost_sight(), *audit(ledgers)]
    return report(ledgers, demo.witness.alerts(), found, seconds)
