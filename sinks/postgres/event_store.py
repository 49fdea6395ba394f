"""The event store: a batch of events, what follows from them, and the source rows' fate, in one transaction."""

from collections.abc import Sequence
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, AsyncCursor

from sinks.postgres.fates import StoredBody, first_occurrences, judge
from sinks.postgres.session import Connect, Session, store_error
from sinks.postgres.statements import statement
from sinks.postgres.text import storable
from sinks.store_errors import StoreUnavailable
from sinks.store_values import (
    Enqueued,
    EnqueueFailed,
    EventRow,
    Fate,
    RepairReport,
    SourceRefusal,
    StoreReport,
)

POSTHOG: Final = "POSTHOG"
"""The one dispatch target there is today."""

_REPAIR_LOCK: Final = 0x626F6E67737501
"""Advisory lock on which repairing workers meet: one at a time is enough."""


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
    """`streams.roles.ports.EventStore` on PostgreSQL.

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
        self._dispatch_to_posthog = dispatch_to_posthog
        self._enqueue_dispatch = statement("enqueue_dispatch", target_column=target_column)
        self._repair_dispatch = statement("repair_dispatch", target_column=target_column)

    async def store(self, rows: Sequence[EventRow], refused: Sequence[SourceRefusal]) -> StoreReport:
        """See the port."""
        async with self._session.transaction() as connection, connection.cursor() as cursor:
            fates = await self._insert(cursor, rows) if rows else ()
            fresh = fates.count(Fate.INSERTED)
            enqueue = await self._enqueue_under_savepoint(connection, cursor, fresh) if fresh else Enqueued()
            await _settle_sources(cursor, rows, fates, refused)
        return StoreReport(fates, enqueue)

    async def repair(self, after: int | None, *, limit: int, settled_s: float, lookback_s: float) -> RepairReport:
        """See the port."""
        async with self._session.transaction() as connection, connection.cursor() as cursor:
            if after is None:
                await cursor.execute(statement("repair_start"), {"lookback_s": lookback_s})
                after = int((await _one_row(cursor))[0])
            await cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", (_REPAIR_LOCK,))
            if not (await _one_row(cursor))[0]:
                return RepairReport(after, 0, Enqueued())
            scope = {"after": after, "settled_s": settled_s, "limit": limit}
            await cursor.execute(statement("repair_chunk"), scope)
            last, examined = await _one_row(cursor)
            if not examined:
                return RepairReport(after, 0, Enqueued())
            outcome = await self._repair_under_savepoint(connection, cursor, {**scope, "last": last})
        if isinstance(outcome, EnqueueFailed):
            return RepairReport(after, int(examined), outcome)
        return RepairReport(int(last), int(examined), outcome)

    async def close(self) -> None:
        """Close the connection."""
        await self._session.close()

    async def _insert(self, cursor: AsyncCursor[Any], rows: Sequence[EventRow]) -> tuple[Fate, ...]:
        firsts = first_occurrences(rows)
        async with cursor.copy(statement("stage_events")) as copy:
            for row in firsts.values():
                await copy.write_row(_staged(row))
        # A plan kept from a small batch would be used for a large one: temporary tables send no invalidations.
        await cursor.execute(statement("store_events"), prepare=False)
        inserted = {offset for (offset,) in await cursor.fetchall()}
        known = [event_id for event_id, row in firsts.items() if row.offset not in inserted]
        if not known:
            return judge(rows, inserted, {})
        await cursor.execute(statement("stored_bodies"), {"event_ids": known})
        stored = {event_id: StoredBody(*body) for event_id, *body in await cursor.fetchall()}
        await cursor.execute("DELETE FROM staged_event WHERE event_id = ANY(%s)", (known,))
        try:
            return judge(rows, inserted, stored)
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

    async def _repair_under_savepoint(
        self, connection: AsyncConnection[Any], cursor: AsyncCursor[Any], scope: dict[str, Any]
    ) -> Enqueued | EnqueueFailed:
        try:
            async with connection.transaction():
                dispatched = 0
                if self._dispatch_to_posthog:
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
    return EnqueueFailed(storable(str(error)))


async def _one_row(cursor: AsyncCursor[Any]) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = await cursor.fetchone()
    assert row is not None, "an aggregate always has one row"
    return row
