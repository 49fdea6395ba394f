"""The command line as a whole: the verbs in it, and how a failure becomes a sentence and an exit code."""

import os
import sys
from collections.abc import Sequence

import click

from ops.cli import alerts, config, dead_letters, doctor, lag, migrate, processes, produce, tables, topics
from ops.cli.session import Session, say
from ops.cli.verbs import WRAPPER_VERBS, Root, global_options, pass_session
from ops.errors import OperatorError
from ops.exit_codes import ExitCode
from ops.masking import mask_text
from ops.version import version

_HELP = """Relays an application's events out of PostgreSQL through Kafka, delivers them, and lights a fire when
deliveries fail. Without any infrastructure, start with ./bongsu demo."""


@click.group(
    cls=Root,
    help=_HELP,
    params=global_options(),
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(version(), prog_name="bongsu")
@click.pass_context
def root(context: click.Context) -> None:
    """Print the help when no verb was given."""
    context.ensure_object(Session)
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for _module in (processes, topics, migrate, produce, lag, tables, alerts, dead_letters, config, doctor):
    _module.register(root)


@root.verb("help", examples=["./bongsu help", "./bongsu help topics apply"])
@click.argument("path", nargs=-1, metavar="[VERB]...")
@click.pass_context
def help_(context: click.Context, path: tuple[str, ...]) -> None:
    """Show the help of a verb, or the list of all verbs."""
    assert context.parent is not None
    if len(path) == 1 and path[0] in WRAPPER_VERBS:
        (name,) = path
        click.echo(
            f"{name}: {WRAPPER_VERBS[name]}\n\nA verb of the checkout; ./bongsu {name} --help lists its options."
        )
        return
    at, command = context.parent, context.parent.command
    for name in path:
        if not isinstance(command, click.Group):
            raise click.UsageError(f"{command.name} has no verb {name!r}.", at)
        _, found, _ = command.resolve_command(at, [name])
        assert found is not None
        at, command = click.Context(found, at, info_name=name), found
    click.echo(command.get_help(at))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; prints at most one message about a failure."""
    try:
        result = root.main(list(arguments), prog_name="./bongsu", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return ExitCode.OK
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE if isinstance(error, click.UsageError) else ExitCode.FAILED
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe (head, less) went away: not a failure, and the exit must not try to flush again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except OperatorError as error:
        say(mask_text(str(error)))
        return error.exit_code
    return result if isinstance(result, int) else ExitCode.OK


__all__ = ["pass_session", "root", "run"]
