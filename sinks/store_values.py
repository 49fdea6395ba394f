"""What passes between the roles and their stores: rows, claims, results, reports. Values only.

They stand here because both sides need them: the roles name the doors (`streams.roles.ports`), the stores walk through
(`sinks.postgres`), and neither imports the other. Delays are passed in seconds and become points in time on the
database's clock, so a worker's wrong clock cannot make a row due too early.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from schemas.activity import ActivityEvent
from sinks.ports import PushTarget


class Fate(StrEnum):
    """What became of one event that was handed to the store."""

    INSERTED = "inserted"
    """First of its event_id: stored now."""
    REDELIVERED = "redelivered"
    """This very record, at this very position, was stored before."""
    DUPLICATE = "duplicate"
    """Another record with this event_id and the same body was stored before."""
    CONFLICT = "conflict"
    """Another record with this event_id and a different body was stored before; that one stands."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event and where it came from.

    Attributes:
        event: the event.
        topic, partition, offset: the record's position; with it `trace` finds the message (design.md §6).
        lsn: the change's LSN, None for records that did not come out of the WAL.
        source_id: `id` of the source outbox row, None for records of activity.events.
        reemitted: the sweeper read the row again (op `r`).
    """

    event: ActivityEvent
    topic: str
    partition: int
    offset: int
    lsn: int | None = None
    source_id: int | None = None
    reemitted: bool = False


@dataclass(frozen=True, slots=True)
class SourceRefusal:
    """A source outbox row whose record was refused: it becomes FAILED. Both identities must fit."""

    source_id: int
    event_id: str
    error: str


@dataclass(frozen=True, slots=True)
class Enqueued:
    """Rows put into the dispatch outbox and into notify_jobs, and those that were there already."""

    dispatched: int = 0
    dispatch_duplicates: int = 0
    jobs: int = 0
    job_duplicates: int = 0


@dataclass(frozen=True, slots=True)
class EnqueueFailed:
    """Nothing was enqueued, the events stand; the repair has to enqueue."""

    error: str


@dataclass(frozen=True, slots=True)
class StoreReport:
    """What one call of the event store did.

    Attributes:
        fates: one per row, in the rows' order.
        enqueue: what was enqueued for the inserted ones.
    """

    fates: tuple[Fate, ...]
    enqueue: Enqueued | EnqueueFailed


@dataclass(frozen=True, slots=True)
class MarkReport:
    """What marking did.

    Attributes:
        published: rows that went from PENDING to PUBLISHED.
        missing: ids that no row has: not visible yet, or gone.
    """

    published: int
    missing: frozenset[int]


@dataclass(frozen=True, slots=True)
class DispatchRow:
    """A claimed row of the dispatch outbox with its event.

    Attributes:
        dispatch_id: `id` in the dispatch outbox.
        retry_count: failures before this attempt.
        properties: the event's properties as JSON text; None when the event itself is gone.
    """

    dispatch_id: int
    event_id: UUID
    retry_count: int
    event_name: str | None
    event_version: int | None
    partition_key: str | None
    member_id: int | None
    anonymous_id: str | None
    session_id: str | None
    platform: str | None
    request_id: str | None
    trace_id: str | None
    occurred_at: datetime | None
    properties: str | None


@dataclass(frozen=True, slots=True)
class DispatchFailure:
    """A dispatch that failed.

    Attributes:
        retry_in_s: when it becomes due again; None when it will not be tried again.
    """

    dispatch_id: int
    retry_count: int
    error: str
    retry_in_s: float | None


@dataclass(frozen=True, slots=True)
class DispatchAttempt:
    """The row of dispatch_attempts for one batch sent, or for one claim of notify jobs."""

    batch_id: UUID
    attempted: int
    succeeded: int
    failed: int
    http_status: int | None
    error_code: str | None
    error_message: str | None
    duration_ms: int


class JobStatus(StrEnum):
    """States of notify_jobs (000 L13; alert-engine.md 1.2)."""

    READY = "READY"
    LOCKED = "LOCKED"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True)
class PushTemplate:
    """A row of push_templates; texts carry {placeholders}."""

    template_id: int
    title: str
    body: str
    url: str
    urgency: str
    ttl_s: int
    active: bool


@dataclass(frozen=True, slots=True)
class PushJob:
    """A claimed notify job with everything needed to send it.

    Attributes:
        variables: JSON object text that fills the template.
        retry_count: failed attempts before this one.
        age_s: seconds since the job was first due, by the database's clock; retries do not make it younger.
        template: None when the template is gone.
        targets: enabled subscriptions of the member without a final outcome for this job.
        delivered_before, final_before: outcomes logged by earlier attempts.
    """

    job_id: int
    dedup_key: str
    event_id: UUID | None
    member_id: int
    variables: str
    retry_count: int
    age_s: float
    template: PushTemplate | None
    targets: tuple[PushTarget, ...]
    delivered_before: int = 0
    final_before: int = 0


@dataclass(frozen=True, slots=True)
class PushLog:
    """A row of push_message_logs: the final outcome of one job for one subscription."""

    job_id: int
    subscription_id: int
    template_id: int
    member_id: int
    delivered: bool
    http_status: int | None
    error_code: str | None
    error_message: str | None
    dedup_key: str


@dataclass(frozen=True, slots=True)
class JobResult:
    """What becomes of a claimed job.

    Attributes:
        status: READY gives the job back.
        retry_count: the new value.
        due_in_s: with READY, moves `scheduled_at` to so many seconds from now (a retry); None leaves it.
        hold_s: with READY, nobody claims it for so long, `scheduled_at` unmoved (nothing was attempted).
        last_error: the new value.
        logs: outcomes that became final.
        disabled: subscription id to the reason for which it is switched off.
    """

    job_id: int
    status: JobStatus
    retry_count: int
    due_in_s: float | None = None
    hold_s: float | None = None
    last_error: str | None = None
    logs: tuple[PushLog, ...] = ()
    disabled: Mapping[int, str] | None = None


@dataclass(frozen=True, slots=True)
class SettleReport:
    """What settling jobs wrote.

    Attributes:
        settled: jobs whose claim was still held; the results of the others were dropped.
        log_conflicts: logs that were there already (000 L17: dedup conflict).
        disabled: subscriptions switched off.
    """

    settled: int
    log_conflicts: int
    disabled: int
