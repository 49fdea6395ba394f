"""How a verb is declared: global options in front of or behind the verb, examples in its help."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from ops.cli.session import Session
from ops.exit_codes import table as exit_code_table

OUTPUTS = ("table", "json", "jsonl")
WRAPPER_VERBS = {
    "demo": "The whole pipeline on this machine, without any infrastructure.",
    "test": "Run the test suites.",
    "check": "Format, lint, types, import contracts, unit tests: less than a minute.",
}
"""Verbs that the `bongsu` script dispatches before Python's command line is reached."""


def _session(context: click.Context) -> Session:
    return context.ensure_object(Session)


def _set_config(context: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
    if value is not None:
        _session(context).config = value


def _set_flags(context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> None:
    if value:
        from ops.settings_layers import is_secret, names

        keys = (flag.partition("=")[0].strip().lower() for flag in value)
        for key in keys:
            if key in names() and is_secret(key):
                variable = key.upper()
                raise click.UsageError(
                    f"--set {key} is refused, others can read a command line: put the value into {variable} of the "
                    f"environment, or into a file named by {variable}_FILE.",
                    context,
                )
    _session(context).flags.extend(value)


def _set_output(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        _session(context).output = value


def _set_no_color(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    _session(context).no_color |= value


def global_options() -> list[click.Parameter]:
    """The options that every verb takes; values go to the Session, not to the verb's function."""
    return [
        click.Option(
            ["--config"],
            type=click.Path(path_type=Path, dir_okay=False),
            expose_value=False,
            callback=_set_config,
            help="TOML file instead of bongsu.toml of the working directory.",
        ),
        click.Option(
            ["--set"],
            multiple=True,
            metavar="KEY=VALUE",
            expose_value=False,
            callback=_set_flags,
            help="Overrule one setting; repeatable. Not for secrets: others can read a command line.",
        ),
        click.Option(
            ["--output", "-o"],
            type=click.Choice(OUTPUTS),
            expose_value=False,
            callback=_set_output,
            help="Form of the data on stdout (default: table).",
        ),
        click.Option(
            ["--no-color"],
            is_flag=True,
            expose_value=False,
            callback=_set_no_color,
            help="No colours (NO_COLOR works too).",
        ),
    ]


class Verb(click.Command):
    """A command with the global options and an Examples section."""

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.examples = tuple(examples)
        self.params.extend(global_options())

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples, one per line and never re-wrapped."""
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"  {example}\n")


class Verbs(click.Group):
    """A group that knows the nearest name for a wrong one; its help shows one example of each verb."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The first example of each verb."""
        with formatter.section("Examples"):
            for command in self.commands.values():
                if isinstance(command, Verb):
                    formatter.write(f"  {command.examples[0]}\n")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or raise UsageError with a suggestion."""
        name = args[0] if args else ""
        if name in self.commands:
            return name, self.commands[name], args[1:]
        if ctx.parent is None and name in WRAPPER_VERBS:
            raise click.UsageError(f"{name} is a verb of the bongsu script: run ./bongsu {name}.", ctx)
        known = [*self.commands, *(WRAPPER_VERBS if ctx.parent is None else ())]
        close = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f" Did you mean {close[0]}?" if close else f" There are: {', '.join(sorted(known))}."
        raise click.UsageError(f"There is no verb {name!r}.{hint}", ctx)

    def verb(self, name: str, *, examples: Sequence[str]) -> Callable[[Callable[..., Any]], Verb]:
        """Decorator: declare a verb of this group with its examples."""

        def declare(function: Callable[..., Any]) -> Verb:
            command: Verb = click.command(name, cls=Verb, examples=examples)(function)
            self.add_command(command)
            return command

        return declare

    def verbs(self, name: str, help_text: str) -> "Verbs":
        """Add a group of verbs under one name."""
        group = Verbs(name, help=help_text)
        self.add_command(group)
        return group


class Root(Verbs):
    """The top group: its help also lists the wrapper's verbs and the exit codes."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What the wrapper adds, examples, and what an exit code means."""
        with formatter.section("Verbs of the checkout"):
            formatter.write_dl(list(WRAPPER_VERBS.items()))
        with formatter.section("Examples"):
            for example in ("./bongsu demo", "./bongsu doctor", "./bongsu lag --output json", "./bongsu help lag"):
                formatter.write(f"  {example}\n")
        with formatter.section("Exit codes"):
            formatter.write(exit_code_table() + "\n")


pass_session = click.make_pass_decorator(Session, ensure=True)
