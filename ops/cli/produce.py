"""`produce`: write events by hand, to see the pipeline work."""

import json
from typing import Any
from uuid import UUID

import click

from ops.cli.session import Session, say
from ops.cli.verbs import Verbs, pass_session

_COLUMNS = ("event_id", "to", "result")


class Properties(click.ParamType):
    """A JSON object."""

    name = "JSON"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """Parse; anything but an object is a usage error."""
        if isinstance(value, dict):
            return value
        try:
            parsed = json.loads(str(value))
        except ValueError as error:
            self.fail(f"{value!r} is not JSON: {error}.", param, ctx)
        if not isinstance(parsed, dict):
            self.fail(f"{value!r} is not a JSON object.", param, ctx)
        return parsed


def register(root: Verbs) -> None:
    """Add the verb of this module."""

    @root.verb(
        "produce",
        examples=[
            "./bongsu produce --event-name group.created --partition-key member:42 --member-id 42",
            "./bongsu produce --event-name review.created --partition-key member:7 --properties '{\"stars\": 5}'",
            "./bongsu produce --event-name group.created --partition-key member:42 --to topic --count 100 -o jsonl",
        ],
    )
    @click.option("--event-name", required=True, help="A name on the allow list.")
    @click.option("--partition-key", required=True, help="Events of one key keep their order.")
    @click.option("--member-id", type=int, help="The acting member.")
    @click.option("--properties", type=Properties(), default="{}", show_default=True, help="The event's properties.")
    @click.option(
        "--event-id", type=click.UUID, help="Use this id, e.g. to send an event twice; default: a new one each."
    )
    @click.option(
        "--to",
        type=click.Choice(("outbox", "topic")),
        default="outbox",
        show_default=True,
        help="outbox: one transaction in PostgreSQL. topic: Avro onto activity.events.",
    )
    @click.option("--count", type=click.IntRange(1, 100_000), default=1, show_default=True, help="How many.")
    @pass_session
    def produce(
        session: Session,
        *,
        event_name: str,
        partition_key: str,
        member_id: int | None,
        properties: dict[str, Any],
        event_id: UUID | None,
        to: str,
        count: int,
    ) -> None:
        """Write events by hand.

        Into the outbox they go as an application writes them, in one transaction, and travel the whole way.
        """
        from ops.produce import Draft, into_outbox, numbered, onto_topic

        drafts = numbered(Draft(event_name, partition_key, properties, member_id, event_id), count)
        rows = into_outbox(session.settings, drafts) if to == "outbox" else onto_topic(session.settings, drafts)
        session.printer.rows(rows, _COLUMNS)
        say(f"{len(rows)} events written.")
