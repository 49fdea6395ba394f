"""`migrate`: the numbered SQL migrations, forwards, backwards and as a list."""

import click

from ops.cli.session import Session, say
from ops.cli.verbs import Verbs, pass_session
from ops.errors import OperatorError
from ops.exit_codes import ExitCode

_COLUMNS = ("number", "name", "applied_at")


def register(root: Verbs) -> None:
    """Add the verb of this module."""

    @root.verb(
        "migrate",
        examples=["./bongsu migrate", "./bongsu migrate --status", "./bongsu migrate --rollback-to 0 --yes"],
    )
    @click.option("--status", "only_status", is_flag=True, help="List the migrations and change nothing.")
    @click.option(
        "--rollback-to",
        type=click.IntRange(min=0),
        metavar="N",
        help="Take back every migration above N, newest first; 0 takes back all, with their data.",
    )
    @click.option("--yes", is_flag=True, help="Agree that --rollback-to drops tables with their rows.")
    @pass_session
    def migrate(session: Session, only_status: bool, rollback_to: int | None, yes: bool) -> int:
        """Bring the database to this release.

        Each migration runs in a transaction of its own, in one process at a time.
        """
        import psycopg

        from ops import migrations
        from ops.database import by_position, connect

        if only_status and rollback_to is not None:
            raise click.UsageError("--status and --rollback-to exclude each other.")
        if rollback_to is not None:
            _check_target(rollback_to)
        column = session.settings.dispatch_target_column
        try:
            with (
                connect(session.settings, "migrate", statement_timeout_s=0) as rows_as_dicts,
                by_position(rows_as_dicts) as connection,
            ):
                if only_status:
                    states = migrations.status(connection, column)
                    rows = [
                        {"number": state.number, "name": state.name, "applied_at": state.applied_at} for state in states
                    ]
                    session.printer.rows(rows, _COLUMNS)
                    return ExitCode.OK
                if rollback_to is not None:
                    lost = migrations.tables_lost(connection, rollback_to, column)
                    if lost and not yes:
                        raise click.UsageError(
                            f"this would drop {', '.join(lost)} with all their rows; nothing was done. "
                            "Add --yes if that is what you want."
                        )
                    done, word = migrations.rollback(connection, rollback_to, column), "taken back"
                else:
                    done, word = migrations.apply(connection, column), "applied"
        except migrations.MigrationError as error:
            raise OperatorError(f"{error}.") from error
        except psycopg.Error as error:
            raise OperatorError(f"a migration failed and left no trace of itself: {error}") from error
        rows = [{"number": one.number, "name": one.name, "action": word} for one in done]
        session.printer.rows(rows, ("number", "name", "action"))
        say(f"{len(done)} migrations {word}." if done else "the database is up to date.")
        return ExitCode.OK


def _check_target(number: int) -> None:
    """Refuse a number that is no migration of this release, before any setting is read. Raises UsageError."""
    from ops.migrations import migrations

    newest = migrations()[-1].number
    if number > newest:
        raise click.UsageError(f"there is no migration {number}; choose 0 (everything back) to {newest}.")
