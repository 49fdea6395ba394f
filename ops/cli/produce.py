"""`produce`: write events by hand, to see the pipeline work."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import click

from ops.cli.session import Session, say
from ops.cli.verbs import Verbs, pass_session

_LONGEST_KEY = 255
_BIGINT = click.IntRange(-(2**63), 2**63 - 1)
_COLUMNS = ("event_id", "to", "result")


class Properties(click.ParamType):
    """A JSON object."""

    name = "JSON"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """Parse; anything but an object is a usage error."""
        if isinstance(value, dict):
            return value
        from capture.outbox import serialise

        try:
            parsed = json.loads(str(value))
        except (ValueError, RecursionError) as error:
            self.fail(f"{value!r} is not JSON: {error}.", param, ctx)
        if not isinstance(parsed, dict):
            self.fail(f"{value!r} is not a JSON object.", param, ctx)
        try:
            serialise(parsed)
        except (ValueError, RecursionError) as error:
            # NaN and Infinity, which Python reads and JSON does not have, and what PostgreSQL cannot store.
            self.fail(f"{value!r} cannot be stored: {error}.", param, ctx)
        return parsed


class PartitionKey(click.ParamType):
    """A text of 1 to 255 characters: a longer one is refused by the activity role."""

    name = "TEXT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the length; anything else is a usage error."""
        key = str(value)
        if not 1 <= len(key) <= _LONGEST_KEY:
            self.fail(f"it has {len(key)} characters, expected 1 to {_LONGEST_KEY}.", param, ctx)
        return key


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
    @click.option("--partition-key", type=PartitionKey(), required=True, help="Events of one key keep their order.")
    @click.option("--member-id", type=_BIGINT, help="The acting member.")
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
        from schemas.event_names import allow_list

        drafts = numbered(Draft(event_name, partition_key, properties, member_id, event_id), count)
        settings = session.settings
        if event_name not in allow_list(settings.event_allowlist):
            say(f"warning: {event_name} is not on the allow list (EVENT_ALLOWLIST): it will become a dead letter.")
        rows = into_outbox(settings, drafts) if to == "outbox" else onto_topic(settings, drafts)
        session.printer.rows(rows, _COLUMNS)
        say(summary(rows))


def summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many events were written, and how many ids were there before."""
    known = sum(row["result"] == "duplicate" for row in rows)
    written = f"{len(rows) - known} events written"
    return f"{written}, {known} not: an event of that id is there already." if known else f"{written}."
