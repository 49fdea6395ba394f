"""What must change on a cluster for it to hold the registry's topics; pure.

Nothing here deletes a topic or a record. A partition count is only ever raised by an operator with capture stopped
(design.md §4): the plan reports it as a conflict instead of doing it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import assert_never

from topics.registry import Topic


@dataclass(frozen=True, slots=True)
class Create:
    """A topic that is not there."""

    topic: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Configure:
    """Settings of a topic that differ: name to (present, wanted)."""

    topic: str
    changes: Mapping[str, tuple[str | None, str]]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A difference that a program must not repair."""

    topic: str
    reason: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """What this broker cannot do and the plan leaves out."""

    topic: str
    reason: str


Step = Create | Configure | Conflict | Ignored


@dataclass(frozen=True, slots=True)
class Present:
    """A topic as the cluster has it; `config` is None where the broker does not tell."""

    partitions: int
    config: Mapping[str, str] | None


def plan(
    wanted: Iterable[Topic], present: Mapping[str, Present], *, replication_factor: int, embedded: bool
) -> list[Step]:
    """The steps from what is present to what the registry wants, in the registry's order.

    Args:
        wanted: the registry's topics.
        present: topic name to what the cluster has.
        replication_factor: for new topics.
        embedded: the broker is the embedded one, which keeps no settings and forgets everything at its end.
    """
    steps: list[Step] = []
    for topic in wanted:
        there = present.get(topic.name)
        if there is None:
            steps.append(_create(topic, replication_factor))
            continue
        if there.partitions != topic.partitions:
            steps.append(
                Conflict(
                    topic.name,
                    f"has {there.partitions} partitions, the registry says {topic.partitions}; stop capture, let the "
                    "readers finish, make the topic anew and raise the epoch",
                )
            )
        if embedded:
            steps.append(Ignored(topic.name, f"the embedded broker keeps no settings ({_settings(topic)})"))
        elif there.config is not None:
            changes = _differences(topic.config(), there.config)
            if changes:
                steps.append(Configure(topic.name, changes))
    return steps


def sentence(step: Step) -> str:
    """One line for an operator."""
    match step:
        case Create():
            return f"create {step.topic}: {step.partitions} partitions, replication {step.replication_factor}, " + (
                ", ".join(f"{key}={value}" for key, value in sorted(step.config.items()))
            )
        case Configure():
            changed = ", ".join(f"{key} {old} -> {new}" for key, (old, new) in sorted(step.changes.items()))
            return f"configure {step.topic}: {changed}"
        case Conflict():
            return f"conflict {step.topic}: {step.reason}"
        case Ignored():
            return f"ignored {step.topic}: {step.reason}"
        case _:
            assert_never(step)


def _create(topic: Topic, replication_factor: int) -> Create:
    return Create(topic.name, topic.partitions, replication_factor, topic.config())


def _settings(topic: Topic) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(topic.config().items()))


def _differences(wanted: Mapping[str, str], present: Mapping[str, str]) -> dict[str, tuple[str | None, str]]:
    return {key: (present.get(key), value) for key, value in wanted.items() if present.get(key) != value}
