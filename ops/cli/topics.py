"""`topics plan|apply|list`: the registry against the cluster."""

from typing import TYPE_CHECKING, Any

from ops.cli.session import Session, say
from ops.cli.verbs import Verbs, pass_session
from ops.errors import Conflict, OperatorError
from ops.exit_codes import ExitCode

if TYPE_CHECKING:
    from topics.plan import Step

_STEP_COLUMNS = ("step", "topic", "detail")
_LIST_COLUMNS = ("name", "partitions", "present", "schema", "key", "cleanup", "retention_h", "writer", "readers")


def register(root: Verbs) -> None:
    """Add the verbs of this module."""
    topics = root.verbs("topics", "Compare the list of topics with the cluster.")

    @topics.verb("plan", examples=["./bongsu topics plan", "./bongsu topics plan --output json"])
    @pass_session
    def plan(session: Session) -> int:
        """Say what `apply` would do, and do nothing. Exit code 6 when something must be repaired by hand."""
        from ops.topic_plan import planned

        _, steps = planned(session.settings)
        session.printer.rows([_row(step) for step in steps], _STEP_COLUMNS)
        return _verdict(steps, "no change is needed" if not _changes(steps) else "nothing was changed")

    @topics.verb("apply", examples=["./bongsu topics apply", "./bongsu topics apply --set replication_factor=1"])
    @pass_session
    def apply(session: Session) -> int:
        """Create missing topics, set what differs, register schemas. Deletes nothing, changes no partition count."""
        from ops.registry import registry
        from ops.topic_plan import planned
        from topics import admin as topic_admin

        client, steps = planned(session.settings)
        try:
            done = topic_admin.apply(client, steps)
        except topic_admin.ApplyFailed as error:
            raise OperatorError(f"the cluster refused a change: {error}.") from error
        with registry(session.settings) as schemas:
            schemas.register_all()
        left = [step for step in steps if step not in done]
        session.printer.rows([_row(step, done=step in done) for step in [*done, *left]], (*_STEP_COLUMNS, "done"))
        return _verdict(steps, f"{len(done)} changes made, schemas registered")

    @topics.verb("list", examples=["./bongsu topics list", "./bongsu topics list --output jsonl"])
    @pass_session
    def list_(session: Session) -> None:
        """List every topic of the registry; `present` is empty when no broker is configured."""
        from ops.changelogs import all_topics

        present: dict[str, int] | None = None
        if session.settings.kafka_bootstrap_servers is not None:
            from ops.cluster import partition_counts

            present = partition_counts(session.settings)
        rows = [_listed(topic, present) for topic in all_topics(session.settings.group_prefix)]
        session.printer.rows(rows, _LIST_COLUMNS)


def _changes(steps: "list[Step]") -> "list[Step]":
    from topics.plan import Configure, Create

    return [step for step in steps if isinstance(step, Create | Configure)]


def _verdict(steps: "list[Step]", sentence: str) -> int:
    from topics.plan import Conflict as TopicConflict

    conflicts = [step for step in steps if isinstance(step, TopicConflict)]
    if conflicts:
        raise Conflict(f"{sentence}; {len(conflicts)} topics must be repaired by hand, see the conflicts above.")
    say(sentence + ".")
    return ExitCode.OK


def _row(step: "Step", *, done: bool | None = None) -> dict[str, Any]:
    from topics.plan import sentence

    kind, _, rest = sentence(step).partition(" ")
    row: dict[str, Any] = {"step": kind, "topic": step.topic, "detail": rest.removeprefix(f"{step.topic}: ")}
    return row if done is None else {**row, "done": done}


def _listed(topic: Any, present: dict[str, int] | None) -> dict[str, Any]:
    return {
        "name": topic.name,
        "partitions": topic.partitions,
        "present": None if present is None else present.get(topic.name, 0),
        "schema": topic.schema,
        "key": topic.key,
        "cleanup": "compact" if topic.compacted else "delete",
        "retention_h": None if topic.retention_ms is None else topic.retention_ms / 3_600_000,
        "writer": topic.writer,
        "readers": ", ".join(topic.readers),
        "dead_letters": topic.dead_letters,
    }
