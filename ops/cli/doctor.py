"""`doctor`: is everything there that Bongsu needs, and what to do where it is not."""

import click

from ops.cli.session import Session, say
from ops.cli.verbs import Verbs, pass_session
from ops.exit_codes import ExitCode

_COLUMNS = ("level", "check", "cause", "fix")


def register(root: Verbs) -> None:
    """Add the verb of this module."""

    @root.verb("doctor", examples=["./bongsu doctor", "./bongsu doctor --strict", "./bongsu doctor --output json"])
    @click.option("--strict", is_flag=True, help="Warnings count too.")
    @pass_session
    def doctor(session: Session, strict: bool) -> int:
        """Check every dependency; say cause and fix.

        Levels: ok, info, not_configured, warning (works, should be changed), degraded (does not work). Exit code 8
        when anything is degraded, or with --strict when there is a warning.
        """
        from ops.doctor.checks import examine
        from ops.doctor.finding import Level, needs_attention
        from ops.settings import Loaded

        def load() -> Loaded:
            session.log_to_stderr("cli")
            return session.loaded

        found = examine(load)
        rows = [{"level": one.level.value, "check": one.check, "cause": one.cause, "fix": one.fix} for one in found]
        if session.output == "table":
            for row in rows:
                session.printer.text(_line(row))
        else:
            session.printer.rows(rows, _COLUMNS)
        if needs_attention(found, strict=strict):
            return ExitCode.DEGRADED
        if any(one.level is Level.NOT_CONFIGURED for one in found):
            say("What is not configured was not checked. Without any infrastructure: ./bongsu demo.")
        return ExitCode.OK


def _line(row: dict[str, str]) -> str:
    mark = {"ok": "ok  ", "info": "info", "not_configured": "--  ", "warning": "WARN", "degraded": "BAD "}[row["level"]]
    head = f"{mark}  {row['check']:<12} {row['cause']}"
    return head + (f"\n      {'':<12} -> {row['fix']}" if row["fix"] else "")
