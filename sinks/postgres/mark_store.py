"""Marks source rows as published, in batches."""

from collections.abc import Sequence
from uuid import UUID

from sinks.postgres.session import Connect, Session
from sinks.postgres.statements import statement
from sinks.store_values import MarkReport


class PostgresMarkStore:
    """`streams.roles.ports.MarkStore` on PostgreSQL.

    Args:
        connect: makes a connection (see `sinks.postgres.session`).
        timeout_s: longest transaction.
    """

    def __init__(self, connect: Connect, *, timeout_s: float = 60.0) -> None:
        self._session = Session(connect, timeout_s=timeout_s)

    async def publish(self, seen: Sequence[tuple[int, UUID]]) -> MarkReport:
        """See the port."""
        distinct = sorted(set(seen))
        rows = {"ids": [row_id for row_id, _ in distinct], "event_ids": [event_id for _, event_id in distinct]}
        async with self._session.transaction() as connection, connection.cursor() as cursor:
            await cursor.execute(statement("mark_published"), rows)
            published = cursor.rowcount
            if published == len(distinct):
                return MarkReport(published, frozenset())
            await cursor.execute(statement("missing_source"), rows)
            missing = frozenset(row_id for (row_id,) in await cursor.fetchall())
        return MarkReport(published, missing)

    async def close(self) -> None:
        """Close the connection."""
        await self._session.close()
