"""`dead-letters list|show`: what was refused, and why."""

from itertools import islice

import click

from ops.cli.session import Session
from ops.cli.verbs import Verbs, pass_session

_COLUMNS = ("time", "topic", "position", "reason", "source_identity", "role", "letter", "error")


class Position(click.ParamType):
    """TOPIC/PARTITION/OFFSET."""

    name = "TOPIC/PARTITION/OFFSET"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int, int]:
        """Split from the right: topics have no slash, but being wrong about that would cost nothing."""
        if isinstance(value, tuple):
            return value
        topic, _, rest = str(value).rpartition("/")
        topic, _, partition = topic.rpartition("/")
        if not topic or not partition.isdigit() or not rest.isdigit():
            self.fail(f"{value!r} is no position, expected e.g. activity.events/2/1041.", param, ctx)
        return topic, int(partition), int(rest)


def register(root: Verbs) -> None:
    """Add the verbs of this module."""
    dead_letters = root.verbs("dead-letters", "Look at refused records and their reasons.")

    @dead_letters.verb(
        "list",
        examples=[
            "./bongsu dead-letters list",
            "./bongsu dead-letters list --topic activity.events --reason not_avro",
            "./bongsu dead-letters list --output jsonl --limit 10000",
        ],
    )
    @click.option("--topic", help="Only refusals of this topic.")
    @click.option("--reason", help="Only this reason code (docs/glossary.md lists them).")
    @click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many.")
    @pass_session
    def list_(session: Session, topic: str | None, reason: str | None, limit: int) -> None:
        """List dead letters, oldest first."""
        from ops.dead_letters import find

        wanted = reason.lower() if reason else None
        session.printer.rows(islice(find(session.settings, topic, wanted), limit), _COLUMNS)

    @dead_letters.verb(
        "show",
        examples=[
            "./bongsu dead-letters show cdc.public.user_activity_source_outbox/2/1041",
            "./bongsu dead-letters show activity.events.dead-letters/0/7 --output json",
        ],
    )
    @click.argument("position", type=Position())
    @pass_session
    def show(session: Session, position: tuple[str, int, int]) -> None:
        """Show one dead letter whole.

        The position is that of the refused record, or of the letter itself in its dead-letter topic.
        """
        from ops.dead_letters import fetch

        session.printer.one(fetch(session.settings, *position))
