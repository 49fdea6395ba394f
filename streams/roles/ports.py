"""The doors through which the roles see the database and the schema registry; values are in `sinks.store_values`.

Every method of a store raises `StoreUnavailable` (ask again) or `StoreRefused` (the values are at fault), or lets a
defect pass as it came. A method that raised has changed nothing.
"""

from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

from sinks.repair_values import RepairStep
from sinks.store_values import (
    DispatchAttempt,
    DispatchFailure,
    DispatchRow,
    EventRow,
    JobResult,
    MarkReport,
    PushJob,
    SettleReport,
    SourceRefusal,
    StoreReport,
)


class Schemas(Protocol):
    """Writers' schemas for the Avro codec."""

    async def ensure(self, schema_ids: Collection[int]) -> None:
        """Put the schemas of these ids into the codec where the registry knows them; an unknown id is no error.

        Raises:
            streams.engine.outcomes.Transient: the registry cannot be asked now.
        """
        ...


class EventStore(Protocol):
    """Where events are stored once."""

    async def store(self, rows: Sequence[EventRow], refused: Sequence[SourceRefusal]) -> StoreReport:
        """Store a batch in its order and, under a savepoint, enqueue what follows from the new events.

        When enqueuing fails, the new events are kept for `repair`, with what was to be enqueued for them.
        Of one event_id the first stands, in the batch and in the store. Source rows in `refused`, and those of
        conflicting events, become FAILED; FAILED rows that were emitted again and are accepted become PUBLISHED.

        Args:
            rows: events of one topic partition, offsets distinct and rising.
            refused: source rows whose records the role refused.
        """
        ...

    async def repair(self, *, limit: int) -> RepairStep:
        """Enqueue what the events of the oldest gap lack that no other worker is at, and close what is repaired of it.

        A gap is what `store` leaves when it returns `EnqueueFailed`: the new events of that batch. It stays until it
        is repaired. One that fails here goes behind the others. Does not wait for a `store` under way.

        Args:
            limit: most events of one step.
        """
        ...


class MarkStore(Protocol):
    """Where source rows are marked as published."""

    async def publish(self, seen: Sequence[tuple[int, UUID]]) -> MarkReport:
        """Turn PENDING into PUBLISHED for rows given by (id, event_id); FAILED stays FAILED."""
        ...


class DispatchStore(Protocol):
    """The dispatch outbox of one target."""

    async def claim(self, token: UUID, *, limit: int, lease_s: float) -> tuple[DispatchRow, ...]:
        """Claim up to `limit` due rows for `lease_s` seconds: PENDING, or FAILED and due again."""
        ...

    async def finish(
        self,
        token: UUID,
        *,
        dispatched: Sequence[int],
        failures: Sequence[DispatchFailure],
        released: Sequence[int],
        attempt: DispatchAttempt | None,
    ) -> int:
        """Write what became of claimed rows; returns how many were written.

        Rows whose claim was lost are left alone; when none is left, the attempt is not written either.
        """
        ...


class JobStore(Protocol):
    """The queue of notify jobs."""

    async def claim(self, token: UUID, *, limit: int, lease_s: float) -> tuple[PushJob, ...]:
        """Claim up to `limit` due jobs for `lease_s` seconds: READY, or LOCKED with a lease that ran out.

        Jobs that were held, tried or claimed before take at most half of the limit, so that those of a service that
        is down do not keep new ones waiting.
        """
        ...

    async def settle(
        self, token: UUID, results: Sequence[JobResult], attempt: DispatchAttempt | None = None
    ) -> SettleReport:
        """Write logs, subscriptions, jobs and the attempt in one transaction.

        Results of lost claims are dropped; when none is left, the attempt is not written either.
        """
        ...
