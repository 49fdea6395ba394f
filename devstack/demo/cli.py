"""`./bongsu demo`: the whole of Bongsu without infrastructure, and `demo break|heal` for a demo that runs."""

import json
import sys
from collections.abc import Sequence

import click
from rich.console import Console

from devstack.demo.control import ControlError, NoSuchDemo, SeveralDemos, ask, running_demos
from devstack.demo.faults import TARGETS
from devstack.demo.signals import termination_as_interrupt
from ops.exit_codes import ExitCode

_HELP = """Run all of Bongsu on this machine: PostgreSQL, a broker, a schema registry, receivers that stand for push
services and PostHog, the relay and one process per role; write traffic and show what becomes of it.

Nothing has to be installed or running. Ctrl-C ends it and leaves nothing behind.

\b
Examples:
  ./bongsu demo                                            live view until Ctrl-C
  ./bongsu demo --events 5000 --seed 7 --exit --output json
                                                           write 5,000 outbox rows, wait until all is quiet, audit
  ./bongsu demo --stack real --postgres 15                 real Kafka (Java 17 and, once, Maven) and PostgreSQL 15
  ./bongsu demo break push                                 in another terminal: see the alert fire
  ./bongsu demo heal push                                  and resolve

\b
Exit codes:
  0    done; with --exit: everything adds up
  1    with --exit: something does not add up, see `audit` in the report; otherwise a part failed
  2    the command line was not understood, or several demos run and none was named
  4    break, heal: no such demo is running
  6    break, heal: the demo refused, e.g. what is to be broken is broken already
  7    --stack real: Java or Maven is absent, or PostgreSQL of that version; or a part did not start
  130  ended by Ctrl-C
"""

_HEAL_HELP = """Undo `demo break`.

\b
Examples:
  ./bongsu demo heal push
  ./bongsu demo heal broker --demo 1a2b3c  of several demos, this one; see ./bongsu demo list
"""

_LIST_HELP = """List the running demos.

\b
Example:
  ./bongsu demo list                       one JSON object per line: demo, stack, started_at, run_dir
"""


@click.group(invoke_without_command=True, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--events", type=click.IntRange(1, 5_000_000), help="Outbox rows to write; without it, no end.")
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same members and same events.")
@click.option(
    "--rate", type=click.FloatRange(1), help="Rows per second. [default: 200; with --exit as fast as possible]"
)
@click.option("--exit", "ends", is_flag=True, help="Wait until all is quiet, audit, print the report and end.")
@click.option("--timeout", type=click.FloatRange(1), default=600, show_default=True, help="Seconds that --exit waits.")
@click.option(
    "--output", type=click.Choice(("table", "json")), default="table", show_default=True, help="Form of the report."
)
@click.option("--stack", type=click.Choice(("embedded", "real")), default="embedded", show_default=True)
@click.option(
    "--postgres", type=click.Choice(("15", "18")), default="18", show_default=True, help="Version, with --stack real."
)
@click.option(
    "--time-scale",
    type=click.FloatRange(1, 1_000),
    default=30,
    show_default=True,
    help="How many times faster than in production alert rules run.",
)
@click.option("--keep", is_flag=True, help="Keep the run directory with all logs, and say where it is.")
@click.pass_context
def demo(  # noqa: PLR0917 -- click passes options by name
    context: click.Context,
    events: int | None,
    seed: int,
    rate: float | None,
    ends: bool,
    timeout: float,
    output: str,
    stack: str,
    postgres: str,
    time_scale: float,
    keep: bool,
) -> int:
    """Run a demo unless a verb was given."""
    if context.invoked_subcommand is not None:
        return ExitCode.OK
    if ends and events is None:
        raise click.UsageError("--exit needs --events N: a demo without end has no report.")
    if output == "json" and not ends:
        raise click.UsageError("--output json is the form of the report of --exit: add --events N --exit.")
    if stack == "embedded" and postgres != "18":
        raise click.UsageError("--postgres chooses the version of --stack real; the embedded one is 18.")
    # Imported here so that `demo break` and `--help` answer at once.
    from devstack.demo.run import Wish, run_demo  # noqa: PLC0415
    from devstack.demo.session import Options  # noqa: PLC0415

    options = Options(
        stack="real" if stack == "real" else "embedded",
        postgres=int(postgres),
        seed=seed,
        rows=events,
        audited=ends,
        rows_per_s=rate if rate is not None or ends else 200.0,
        times_faster=time_scale,
    )
    wish = Wish(options, ends=ends, timeout_s=timeout, as_json=output == "json", keep=keep)
    with termination_as_interrupt():
        return run_demo(wish, Console(stderr=True))


@demo.command(
    "break",
    help="""Break a part of the running demo: the push receiver answers 400, PostHog 503, the broker or PostgreSQL
freezes.

\b
Examples:
  ./bongsu demo break push                 push_delivered_ratio fires within seconds
  ./bongsu demo break postgres             nobody can write or store until it is healed
  ./bongsu demo break broker --demo 1a2b3c of several demos, this one; see ./bongsu demo list
""",
)
@click.argument("target", type=click.Choice(TARGETS))
@click.option("--demo", "demo_id", help="Which demo, when several run; its id stands in its first line.")
def break_(target: str, demo_id: str | None) -> int:
    """Break a part."""
    return _ask("break", target, demo_id)


@demo.command("heal", help=_HEAL_HELP)
@click.argument("target", type=click.Choice(TARGETS))
@click.option("--demo", "demo_id", help="Which demo, when several run; its id stands in its first line.")
def heal(target: str, demo_id: str | None) -> int:
    """Heal a part."""
    return _ask("heal", target, demo_id)


@demo.command("list", help=_LIST_HELP)
def list_() -> int:
    """List the running demos, one JSON object per line."""
    for path, card in running_demos().items():
        click.echo(
            json.dumps({"demo": card.demo_id, "stack": card.stack, "started_at": card.started_at, "run_dir": str(path)})
        )
    return ExitCode.OK


def _ask(action: str, target: str, demo_id: str | None) -> int:
    try:
        answer = ask(action, target, demo_id)
    except ControlError as error:
        click.echo(str(error), err=True)
        match error:
            case NoSuchDemo():
                return ExitCode.NOT_FOUND
            case SeveralDemos():
                return ExitCode.USAGE
            case _:
                return ExitCode.FAILED
    click.echo(answer.text, err=not answer.ok)
    return ExitCode.OK if answer.ok else ExitCode.CONFLICT


@click.group(commands={"demo": demo})
def root() -> None:
    """What devstack offers on the command line."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        result = root.main(list(arguments), prog_name="./bongsu", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return ExitCode.OK
    return result if isinstance(result, int) else ExitCode.OK
