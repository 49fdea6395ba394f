"""The event store: a batch of events, what follows from them, and the source rows' fate, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, AsyncCursor

from sinks.postgres.fates import StoredBody, first_occurrences, judge
from sinks.postgres.session import Connect, Session, error_sentence, store_error
from sinks.postgres.statements import statement
from sinks.postgres.text import storable
from sinks.repair_values import NoGap, RepairStep
from sinks.store_errors import StoreUnavailable
from sinks.store_values import (
    Enqueued,
    EnqueueFailed,
    EventRow,
    Fate,
    SourceRefusal,
    StoreReport,
)

POSTHOG: Final = "POSTHOG"
"""The one dispatch target there is today."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """What storing did: fates in the rows' order, ids of the new rows."""

    fates: tuple[Fate, ...]
    new_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Gap:
    """A row of user_activity_enqueue_gap; both event ids belong to it."""

    gap_id: int
    first: int
    last: int
    topic: str
    partition: int
    dispatches: bool


def _staged(row: EventRow) -> tuple[Any, ...]:
    event = row.event
    return (
        event.event_id,
        event.event_name,
        event.event_version,
        event.partition_key,
        event.member_id,
        event.anonymous_id,
        event.session_id,
        event.platform,
        event.request_id,
        event.trace_id,
        event.occurred_at,
        event.properties,
        event.body_hash,
        row.topic,
        row.partition,
        row.offset,
        row.lsn,
    )


class PostgresEventStore:
    """`streams.roles.ports.EventStore` on PostgreSQL; the repair has a connection of its own.

    Args:
        connect: makes a connection (see `sinks.postgres.session`).
        dispatch_to_posthog: whether stored events get a dispatch row.
        target_column: name of the dispatch outbox's target column.
        timeout_s: longest transaction.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        dispatch_to_posthog: bool,
        target_column: str = "dispatch_target",
        timeout_s: float = 60.0,
    ) -> None:
        # Planning for a JIT costs more than any statement here; temporary tables have no statistics to tell so.
        on_connect = ("SET jit = off", statement("stage_events_table"))
        self._session = Session(connect, on_connect=on_connect, timeout_s=timeout_s)
        self._repair_session = Session(connect, on_connect=on_connect[:1], timeout_s=timeout_s)
        self._dispatch_to_posthog = dispatch_to_posthog
        self._enqueue_dispatch = statement("enqueue_dispatch", target_column=target_column)
        self._repair_dispatch = statement("repair_dispatch", target_column=target_column)

    async def store(self, rows: Sequence[EventRow], refused: Sequence[SourceRefusal]) -> StoreReport:
        """See the port."""
        async with self._session.transaction() as connection, connection.cursor() as cursor:
            stored = await self._insert(cursor, rows) if rows else _Stored(())
            enqueue: Enqueued | EnqueueFailed = Enqueued()
            if stored.new_ids:
                enqueue = await self._enqueue_under_savepoint(connection, cursor, len(stored.new_ids))
            if isinstance(enqueue, EnqueueFailed):
                await self._open_gap(cursor, rows[0], stored.new_ids)
            await _settle_sources(cursor, rows, stored.fates, refused)
        return StoreReport(stored.fates, enqueue)

    async def repair(self, *, limit: int) -> RepairStep:
        """See the port."""
        async with self._repair_session.transaction() as connection, connection.cursor() as cursor:
            await cursor.execute(statement("repair_gap"))
            row = await cursor.fetchone()
            if row is None:
                return NoGap()
            gap = _Gap(*row)
            # Ids have holes, so a chunk holds `limit` events or fewer, and no query is needed to cut it.
            last = min(gap.last, gap.first + limit - 1)
            enqueued = await self._repair_under_savepoint(connection, cursor, gap, last)
            if isinstance(enqueued, EnqueueFailed):
                failed = "UPDATE user_activity_enqueue_gap SET failed_at = clock_timestamp() WHERE id = %s"
                await cursor.execute(failed, (gap.gap_id,))
            elif last < gap.last:
                advance = "UPDATE user_activity_enqueue_gap SET first_event = %s, failed_at = NULL WHERE id = %s"
                await cursor.execute(advance, (last + 1, gap.gap_id))
            else:
                await cursor.execute("DELETE FROM user_activity_enqueue_gap WHERE id = %s", (gap.gap_id,))
        return enqueued

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()
        await self._repair_session.close()

    async def _insert(self, cursor: AsyncCursor[Any], rows: Sequence[EventRow]) -> _Stored:
        firsts = first_occurrences(rows)
        async with cursor.copy(statement("stage_events")) as copy:
            for row in firsts.values():
                await copy.write_row(_staged(row))
        # A plan kept from a small batch would be used for a large one: temporary tables send no invalidations.
        await cursor.execute(statement("store_events"), prepare=False)
        new = await cursor.fetchall()
        new_ids, inserted = tuple(row_id for row_id, _ in new), {offset for _, offset in new}
        known = [event_id for event_id, row in firsts.items() if row.offset not in inserted]
        if not known:
            return _Stored(judge(rows, inserted, {}), new_ids)
        await cursor.execute(statement("stored_bodies"), {"event_ids": known})
        stored = {event_id: StoredBody(*body) for event_id, *body in await cursor.fetchall()}
        await cursor.execute("DELETE FROM staged_event WHERE event_id = ANY(%s)", (known,))
        try:
            return _Stored(judge(rows, inserted, stored), new_ids)
        except KeyError as error:
            raise StoreUnavailable(None, f"event {error} was deleted while it was compared") from error

    async def _enqueue_under_savepoint(
        self, connection: AsyncConnection[Any], cursor: AsyncCursor[Any], fresh: int
    ) -> Enqueued | EnqueueFailed:
        dispatched = 0
        try:
            async with connection.transaction():
                if self._dispatch_to_posthog:
                    await cursor.execute(self._enqueue_dispatch, {"target": POSTHOG}, prepare=False)
                    dispatched = cursor.rowcount
                await cursor.execute(statement("enqueue_jobs"), prepare=False)
                wanted, jobs = await _one_row(cursor)
        except psycopg.Error as error:
            return _failed_or_unavailable(error)
        there_already = fresh - dispatched if self._dispatch_to_posthog else 0
        return Enqueued(dispatched, there_already, jobs, wanted - jobs)

    async def _open_gap(self, cursor: AsyncCursor[Any], row: EventRow, new_ids: Sequence[int]) -> None:
        await cursor.execute(
            statement("open_gap"),
            {
                "first": min(new_ids),
                "last": max(new_ids),
                "topic": row.topic,
                "partition": row.partition,
                "dispatches": self._dispatch_to_posthog,
            },
        )

    async def _repair_under_savepoint(
        self, connection: AsyncConnection[Any], cursor: AsyncCursor[Any], gap: _Gap, last: int
    ) -> Enqueued | EnqueueFailed:
        scope = {"first": gap.first, "last": last, "topic": gap.topic, "partition": gap.partition}
        dispatched = 0
        try:
            async with connection.transaction():
                if gap.dispatches:
                    await cursor.execute(self._repair_dispatch, {**scope, "target": POSTHOG})
                    dispatched = cursor.rowcount
                await cursor.execute(statement("repair_jobs"), scope)
                jobs = cursor.rowcount
        except psycopg.Error as error:
            return _failed_or_unavailable(error)
        return Enqueued(dispatched=dispatched, jobs=jobs)


async def _settle_sources(
    cursor: AsyncCursor[Any], rows: Sequence[EventRow], fates: Sequence[Fate], refused: Sequence[SourceRefusal]
) -> None:
    """Write FAILED for refused and conflicting source rows, and take it back for those accepted on a second reading."""
    conflicts = [
        SourceRefusal(row.source_id, str(row.event.event_id), "conflict: the event_id is stored with another body")
        for row, fate in zip(rows, fates, strict=True)
        if fate is Fate.CONFLICT and row.source_id is not None
    ]
    failed = [*refused, *conflicts]
    if failed:
        await cursor.execute(
            statement("refuse_source"),
            {
                "ids": [refusal.source_id for refusal in failed],
                "event_ids": [storable(refusal.event_id) for refusal in failed],
                "errors": [storable(refusal.error) for refusal in failed],
            },
        )
    accepted = [row for row, fate in zip(rows, fates, strict=True) if row.reemitted and fate is not Fate.CONFLICT]
    if accepted:
        await cursor.execute(
            statement("accept_source"),
            {"ids": [row.source_id for row in accepted], "event_ids": [row.event.event_id for row in accepted]},
        )


def _failed_or_unavailable(error: psycopg.Error) -> EnqueueFailed:
    """Enqueuing failed, unless the whole transaction is lost with it: then the error goes on."""
    if isinstance(store_error(error), StoreUnavailable):
        raise error
    return EnqueueFailed(storable(error_sentence(error)))


async def _one_row(cursor: AsyncCursor[Any]) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = await cursor.fetchone()
    assert row is not None, "an aggregate always has one row"
    return row
