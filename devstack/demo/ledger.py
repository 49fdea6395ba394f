"""The ledgers of a demo run: what was written, and what each place says became of it.

Pure values. The invariant of this module: no ledger is computed from another one. What the generator
committed, what PostgreSQL holds, what the dead letter topics hold and what the receivers decrypted are four
separate accounts, and only `devstack.demo.audit` compares them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID


class Via(StrEnum):
    """The way by which an event entered."""

    OUTBOX = "outbox"
    TOPIC = "topic"


@dataclass(frozen=True, slots=True)
class WrittenEvent:
    """A valid event whose transaction committed (or whose record was acknowledged).

    `sequence` counts the events of one `partition_key` and one `via` in commit order, from 0.
    """

    event_id: UUID
    event_name: str
    partition_key: str
    member_id: int | None
    via: Via
    sequence: int


@dataclass(frozen=True, slots=True)
class SpoiledRow:
    """An outbox row that committed and can never be stored, with the reason of its dead letter."""

    event_id: UUID
    reason: str


@dataclass(frozen=True, slots=True)
class SpoiledRecord:
    """A record acknowledged on activity.events that must end as a dead letter with `reason`."""

    topic: str
    partition: int
    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class Repeat:
    """A record acknowledged on activity.events that repeats an event_id already stored.

    `differs` is true where its body is another one: then it is a duplicate and a dead letter with reason
    conflict.
    """

    event_id: UUID
    topic: str
    partition: int
    offset: int
    differs: bool


@dataclass(slots=True)
class Written:
    """Everything that the generator knows it wrote. Filled only after a commit or an acknowledgement."""

    events: list[WrittenEvent] = field(default_factory=list)
    spoiled_rows: list[SpoiledRow] = field(default_factory=list)
    spoiled_records: list[SpoiledRecord] = field(default_factory=list)
    repeats: list[Repeat] = field(default_factory=list)

    @property
    def outbox_rows(self) -> int:
        """How many rows of user_activity_source_outbox were committed, valid or not."""
        return sum(1 for event in self.events if event.via is Via.OUTBOX) + len(self.spoiled_rows)


@dataclass(frozen=True, slots=True)
class OutboxFact:
    """One row of user_activity_source_outbox as the database has it."""

    event_id: UUID
    status: str
    last_error: str | None


@dataclass(frozen=True, slots=True)
class StoredFact:
    """One row of user_activity_event; `row_id` grows in the order of storing."""

    row_id: int
    event_id: UUID
    partition_key: str
    source_topic: str


@dataclass(frozen=True, slots=True)
class DispatchFact:
    """One row of user_activity_dispatch_outbox."""

    event_id: UUID
    target: str
    status: str


@dataclass(frozen=True, slots=True)
class JobFact:
    """One row of notify_jobs."""

    job_id: int
    event_id: UUID
    rule_id: int
    member_id: int
    status: str


@dataclass(frozen=True, slots=True)
class PushLogFact:
    """One row of push_message_logs."""

    job_id: int
    subscription_id: int
    status: str
    http_status: int | None


@dataclass(frozen=True, slots=True)
class Subscription:
    """A web push subscription made for the run; `expires`: its endpoint answers 410 from the start."""

    subscription_id: int
    member_id: int
    endpoint: str
    expires: bool


@dataclass(frozen=True, slots=True)
class NotifyRule:
    """One enabled row of notify_rules."""

    rule_id: int
    event_name: str
    template_id: int


@dataclass(frozen=True, slots=True)
class Database:
    """What PostgreSQL holds at the end; `duplicate_rows` counts what the query of 001 L154 returns."""

    outbox: Sequence[OutboxFact]
    stored: Sequence[StoredFact]
    duplicate_rows: int
    dispatch: Sequence[DispatchFact]
    jobs: Sequence[JobFact]
    logs: Sequence[PushLogFact]


@dataclass(frozen=True, slots=True)
class DeadLetterFact:
    """One dead letter as read back; topic, partition and offset are the refused record's."""

    topic: str
    partition: int
    offset: int
    source_identity: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """One push message that the receiver accepted and decrypted: where, about which event, by which template."""

    endpoint: str
    event_id: UUID
    template_id: int


@dataclass(frozen=True, slots=True)
class Receivers:
    """What came out at the far end: pushes accepted, and how often each uuid was kept by PostHog."""

    accepted: Sequence[Accepted]
    posthog: Mapping[UUID, int]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What the two input topics hold: how often each valid event_id arrived, and what the store counted.

    `counted_duplicates` is the sum over the activity workers' own counters; None where a worker was killed,
    since a counter dies with its process.
    """

    by_event: Mapping[UUID, int]
    counted_duplicates: int | None


@dataclass(frozen=True, slots=True)
class Setting:
    """What was arranged for the run before the first event: rules and subscriptions, and how calm it was.

    `disturbed`: a process was killed or a part frozen, so that redelivery may repeat effects.
    `push_broken`: the push receiver was told to refuse for a while, so that final failures are legitimate.
    """

    outbox_topic: str
    targets: Sequence[str]
    rules: Sequence[NotifyRule]
    subscriptions: Sequence[Subscription]
    disturbed: bool = False
    push_broken: bool = False


@dataclass(frozen=True, slots=True)
class Ledgers:
    """All accounts of a finished run."""

    setting: Setting
    written: Written
    arrivals: Arrivals
    database: Database
    dead_letters: Sequence[DeadLetterFact]
    receivers: Receivers
