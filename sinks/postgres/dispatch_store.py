"""Claims rows of the dispatch outbox and writes what came of sending them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import Rollback

from sinks.postgres.attempts import log_attempt
from sinks.postgres.session import Connect, Session
from sinks.postgres.statements import statement
from sinks.postgres.text import storable
from sinks.store_values import DispatchAttempt, DispatchFailure, DispatchRow


class PostgresDispatchStore:
    """`streams.roles.ports.DispatchStore` on PostgreSQL, for one target.

    Args:
        connect: makes a connection (see `sinks.postgres.session`).
        target: value of the target column, e.g. `POSTHOG`.
        target_column: name of the target column.
        timeout_s: longest transaction.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        target: str = "POSTHOG",
        target_column: str = "dispatch_target",
        timeout_s: float = 60.0,
    ) -> None:
        self._session = Session(connect, on_connect=("SET jit = off",), timeout_s=timeout_s)
        self._target = target
        self._claim = statement("claim_dispatch", target_column=target_column)

    async def claim(self, token: UUID, *, limit: int, lease_s: float) -> tuple[DispatchRow, ...]:
        """See the port."""
        scope = {"target": self._target, "token": token, "limit": limit, "lease_s": lease_s}
        async with self._session.transaction() as connection, connection.cursor() as cursor:
            await cursor.execute(self._claim, scope)
            return tuple(DispatchRow(*row) for row in await cursor.fetchall())

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
        written = 0
        async with self._session.transaction() as connection, connection.cursor() as cursor:
            if dispatched:
                await cursor.execute(statement("finish_dispatch"), {"ids": list(dispatched), "token": token})
                written += cursor.rowcount
            if failures:
                await cursor.execute(statement("fail_dispatch"), {**_columns(failures), "token": token})
                written += cursor.rowcount
            if released:
                await cursor.execute(statement("release_dispatch"), {"ids": list(released), "token": token})
                written += cursor.rowcount
            if not written:
                raise Rollback
            if attempt is not None:
                await log_attempt(cursor, self._target, attempt)
        return written

    async def close(self) -> None:
        """Close the connection."""
        await self._session.close()


def _columns(failures: Sequence[DispatchFailure]) -> dict[str, list[Any]]:
    return {
        "ids": [failure.dispatch_id for failure in failures],
        "retry_counts": [failure.retry_count for failure in failures],
        "errors": [storable(failure.error) for failure in failures],
        "retries_in_s": [failure.retry_in_s for failure in failures],
    }
