"""Stores in memory: for tests and dry runs, behaving as `sinks.postgres` does seen through the ports.

One contract suite (tests/integration/roles) runs on these and on PostgreSQL. Time is an argument: leases run out when a
test says so. Set `unavailable` to an error and the next call raises it.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sinks.ports import PushTarget
from sinks.repair_values import NoGap, RepairStep
from sinks.store_errors import StoreError
from sinks.store_values import (
    DispatchAttempt,
    DispatchFailure,
    DispatchRow,
    Enqueued,
    EnqueueFailed,
    EventRow,
    Fate,
    JobResult,
    JobStatus,
    MarkReport,
    PushJob,
    PushLog,
    SettleReport,
    SourceRefusal,
    StoreReport,
)

NowS = Callable[[], float]


class _Failing:
    """What every store here has: an error to raise once."""

    def __init__(self) -> None:
        self.unavailable: StoreError | None = None

    def _check(self) -> None:
        if self.unavailable is not None:
            error, self.unavailable = self.unavailable, None
            raise error


@dataclass(slots=True)
class SourceRow:
    """A source outbox row, as far as its state goes."""

    event_id: UUID
    status: str = "PENDING"
    retry_count: int = 0
    last_error: str | None = None


class MemoryEventStore(_Failing):
    """`EventStore`: events by event_id, source rows by id.

    Attributes:
        events: what is stored, in order.
        sources: source rows by id; put them in to see their state change.
        dispatched: event ids with a dispatch row.
        enqueue_error: while set, enqueuing fails with this text.
        gaps: new events of the batches for which enqueuing failed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.events: dict[UUID, EventRow] = {}
        self.sources: dict[int, SourceRow] = {}
        self.dispatched: set[UUID] = set()
        self.enqueue_error: str | None = None
        self.gaps: list[list[UUID]] = []

    async def store(self, rows: Sequence[EventRow], refused: Sequence[SourceRefusal]) -> StoreReport:
        """See the port."""
        self._check()
        fates = tuple(self._put(row) for row in rows)
        for row, fate in zip(rows, fates, strict=True):
            if row.source_id is None:
                continue
            if fate is Fate.CONFLICT:
                self._refuse(SourceRefusal(row.source_id, str(row.event.event_id), "conflict"))
            elif row.reemitted:
                self._accept(row.source_id)
        for refusal in refused:
            self._refuse(refusal)
        fresh = [row.event.event_id for row, fate in zip(rows, fates, strict=True) if fate is Fate.INSERTED]
        enqueue = self._enqueue(fresh)
        if isinstance(enqueue, EnqueueFailed):
            self.gaps.append(fresh)
        return StoreReport(fates, enqueue)

    async def repair(self, *, limit: int) -> RepairStep:
        """See the port."""
        self._check()
        if not self.gaps:
            return NoGap()
        gap = self.gaps.pop(0)
        outcome = self._enqueue(gap[:limit])
        if isinstance(outcome, EnqueueFailed):
            self.gaps.append(gap)
        elif gap[limit:]:
            self.gaps.insert(0, gap[limit:])
        return outcome

    def _put(self, row: EventRow) -> Fate:
        standing = self.events.get(row.event.event_id)
        if standing is None:
            self.events[row.event.event_id] = row
            return Fate.INSERTED
        if (standing.topic, standing.partition, standing.offset) == (row.topic, row.partition, row.offset):
            return Fate.REDELIVERED
        return Fate.DUPLICATE if standing.event.body_hash == row.event.body_hash else Fate.CONFLICT

    def _enqueue(self, event_ids: Sequence[UUID]) -> Enqueued | EnqueueFailed:
        if event_ids and self.enqueue_error is not None:
            return EnqueueFailed(self.enqueue_error)
        self.dispatched.update(event_ids)
        return Enqueued(dispatched=len(event_ids))

    def _refuse(self, refusal: SourceRefusal) -> None:
        source = self.sources.get(refusal.source_id)
        if source is not None and str(source.event_id) == refusal.event_id:
            source.status, source.last_error = "FAILED", refusal.error
            source.retry_count += 1

    def _accept(self, source_id: int) -> None:
        source = self.sources.get(source_id)
        if source is not None and source.status == "FAILED":
            source.status, source.last_error = "PUBLISHED", None


class MemoryMarkStore(_Failing):
    """`MarkStore` over the source rows of a `MemoryEventStore`, or over its own."""

    def __init__(self, sources: dict[int, SourceRow] | None = None) -> None:
        super().__init__()
        self.sources = {} if sources is None else sources

    async def publish(self, seen: Sequence[tuple[int, UUID]]) -> MarkReport:
        """See the port."""
        self._check()
        published, missing = 0, set()
        for row_id, event_id in set(seen):
            source = self.sources.get(row_id)
            if source is None or source.event_id != event_id:
                missing.add(row_id)
            elif source.status == "PENDING":
                source.status = "PUBLISHED"
                published += 1
        return MarkReport(published, frozenset(missing))


class MemorySchemas:
    """`Schemas` that knows nothing and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[frozenset[int]] = []

    async def ensure(self, schema_ids: Collection[int]) -> None:
        """See the port."""
        self.asked.append(frozenset(schema_ids))


@dataclass(slots=True)
class Dispatch:
    """A row of the dispatch outbox and its claim; times are seconds of the store's clock."""

    row: DispatchRow
    status: str = "PENDING"
    due_s: float | None = 0.0
    last_error: str | None = None
    token: UUID | None = None
    claimed_until_s: float = float("-inf")


class MemoryDispatchStore(_Failing):
    """`DispatchStore`: rows by id, attempts in order."""

    def __init__(self, now_s: NowS) -> None:
        super().__init__()
        self._now_s = now_s
        self.rows: dict[int, Dispatch] = {}
        self.attempts: list[DispatchAttempt] = []

    def add(self, row: DispatchRow) -> None:
        """Put in a PENDING row."""
        self.rows[row.dispatch_id] = Dispatch(row)

    async def claim(self, token: UUID, *, limit: int, lease_s: float) -> tuple[DispatchRow, ...]:
        """See the port."""
        self._check()
        now_s = self._now_s()
        due = [
            dispatch
            for dispatch in self.rows.values()
            if dispatch.status != "DISPATCHED"
            and dispatch.claimed_until_s < now_s
            and dispatch.due_s is not None
            and dispatch.due_s <= now_s
        ][:limit]
        for dispatch in due:
            dispatch.token, dispatch.claimed_until_s = token, now_s + lease_s
        return tuple(dispatch.row for dispatch in due)

    async def finish(
        self,
        token: UUID,
        *,
        dispatched: Sequence[int],
        failures: Sequence[DispatchFailure],
        released: Sequence[int],
        attempt: DispatchAttempt | None,
    ) -> int:
        """See the port."""
        self._check()
        written = [
            *[self._give_up(row_id, token, "DISPATCHED") for row_id in dispatched],
            *[self._give_up(row_id, token, None) for row_id in released],
            *[self._fail(failure, token) for failure in failures],
        ]
        if attempt is not None and any(written):
            self.attempts.append(attempt)
        return sum(written)

    def _give_up(self, row_id: int, token: UUID, status: str | None) -> bool:
        dispatch = self.rows[row_id]
        if dispatch.token != token:
            return False
        dispatch.token, dispatch.claimed_until_s = None, float("-inf")
        if status is not None:
            dispatch.status, dispatch.last_error = status, None
        return True

    def _fail(self, failure: DispatchFailure, token: UUID) -> bool:
        if not self._give_up(failure.dispatch_id, token, "FAILED"):
            return False
        dispatch = self.rows[failure.dispatch_id]
        dispatch.row = replace(dispatch.row, retry_count=failure.retry_count)
        dispatch.due_s = None if failure.retry_in_s is None else self._now_s() + failure.retry_in_s
        dispatch.last_error = failure.error
        return True


@dataclass(slots=True)
class QueuedJob:
    """A notify job and its claim; times are seconds of the store's clock."""

    job: PushJob
    scheduled_s: float
    first_due_s: float
    status: JobStatus = JobStatus.READY
    last_error: str | None = None
    token: UUID | None = None
    locked_until_s: float = float("-inf")


class MemoryJobStore(_Failing):
    """`JobStore`: jobs by id, subscriptions by member, logs by dedup key.

    Attributes:
        subscriptions: member id to that member's enabled subscriptions.
        disabled: subscription id to the reason for which it was switched off.
        attempts: attempts in the order in which they were written.
    """

    def __init__(self, now_s: NowS) -> None:
        super().__init__()
        self._now_s = now_s
        self.jobs: dict[int, QueuedJob] = {}
        self.subscriptions: dict[int, list[PushTarget]] = {}
        self.disabled: dict[int, str] = {}
        self.logs: dict[str, PushLog] = {}
        self.attempts: list[DispatchAttempt] = []

    def add(self, job: PushJob) -> None:
        """Put in a READY job that is due now; its targets come from `subscriptions`."""
        due_s = self._now_s() - job.age_s
        self.jobs[job.job_id] = QueuedJob(job, due_s, due_s)

    async def claim(self, token: UUID, *, limit: int, lease_s: float) -> tuple[PushJob, ...]:
        """See the port."""
        self._check()
        now_s = self._now_s()
        due = [
            queued
            for queued in self.jobs.values()
            if queued.status in (JobStatus.READY, JobStatus.LOCKED)
            and queued.scheduled_s <= now_s
            and queued.locked_until_s <= now_s
        ]
        waited = sorted(
            (queued for queued in due if queued.locked_until_s > float("-inf")),
            key=lambda queued: queued.locked_until_s,
        )
        fresh = sorted(
            (queued for queued in due if queued.locked_until_s == float("-inf")), key=lambda queued: queued.scheduled_s
        )
        chosen = [*waited[: max(limit // 2, 1)], *fresh][:limit]
        chosen.sort(key=lambda queued: queued.scheduled_s)
        for queued in chosen:
            queued.status, queued.token, queued.locked_until_s = JobStatus.LOCKED, token, now_s + lease_s
        return tuple(self._claimed(queued) for queued in chosen)

    async def settle(
        self, token: UUID, results: Sequence[JobResult], attempt: DispatchAttempt | None = None
    ) -> SettleReport:
        """See the port."""
        self._check()
        held = [
            result
            for result in results
            if self.jobs[result.job_id].token == token and self.jobs[result.job_id].status is JobStatus.LOCKED
        ]
        conflicts = disabled = 0
        for result in held:
            for log in result.logs:
                conflicts += self.logs.setdefault(log.dedup_key, log) is not log
            for subscription_id, reason in (result.disabled or {}).items():
                disabled += subscription_id not in self.disabled
                self.disabled.setdefault(subscription_id, reason)
            self._write(result)
        if held and attempt is not None:
            self.attempts.append(attempt)
        return SettleReport(len(held), conflicts, disabled)

    def _claimed(self, queued: QueuedJob) -> PushJob:
        job = queued.job
        final = [log for log in self.logs.values() if log.job_id == job.job_id]
        targets = tuple(
            target
            for target in self.subscriptions.get(job.member_id, ())
            if target.subscription_id not in self.disabled
            and f"{job.dedup_key}:{target.subscription_id}" not in self.logs
        )
        return replace(
            job,
            age_s=self._now_s() - queued.first_due_s,
            targets=targets,
            final_before=len(final),
            delivered_before=sum(log.delivered for log in final),
        )

    def _write(self, result: JobResult) -> None:
        queued, now_s = self.jobs[result.job_id], self._now_s()
        queued.status, queued.last_error, queued.token = result.status, result.last_error, None
        queued.job = replace(queued.job, retry_count=result.retry_count)
        waits_s = result.due_in_s if result.hold_s is None else result.hold_s
        queued.locked_until_s = float("-inf") if waits_s is None else now_s + waits_s
        if result.due_in_s is not None:
            queued.scheduled_s = now_s + result.due_in_s
