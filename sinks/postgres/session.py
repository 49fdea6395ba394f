"""One connection to PostgreSQL for one role: transactions, reconnecting, errors in two classes.

A role does one thing at a time, so it needs one connection and no pool; whoever wants a second thing at once takes a
second session. What a transaction does is the stores' business.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection
from psycopg.abc import Query

from sinks.postgres.error_classes import ErrorClass, error_class
from sinks.store_errors import StoreError, StoreRefused, StoreUnavailable

Connect = Callable[[], Awaitable[AsyncConnection[Any]]]
"""Makes a new connection; built in ops.wiring with the DSN and an application_name per role."""

TRANSACTION_TIMEOUT_S: Final = 60.0
"""Longest transaction, so that a server that neither answers nor hangs up is noticed."""


def store_error(error: psycopg.Error) -> StoreError | None:
    """The store error for a driver error, or None when it is a defect and should pass as it is."""
    detail = error_sentence(error)
    match _kind(error):
        case ErrorClass.UNAVAILABLE:
            return StoreUnavailable(error.sqlstate, detail)
        case ErrorClass.REFUSED:
            return StoreRefused(error.sqlstate, detail)
        case ErrorClass.DEFECT:
            return None


def error_sentence(error: psycopg.Error) -> str:
    """The error in one sentence that may be logged: without the server's DETAIL, which shows rows and keys."""
    return (error.diag.message_primary or str(error) or type(error).__name__).strip()


def _kind(error: psycopg.Error) -> ErrorClass:
    if error.sqlstate is not None:
        return error_class(error.sqlstate)
    # Errors made by the driver carry no SQLSTATE: a lost connection, or a value that cannot be put on the wire.
    if isinstance(error, psycopg.DataError):
        return ErrorClass.REFUSED
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return ErrorClass.UNAVAILABLE
    return ErrorClass.DEFECT


class Session:
    """Transactions on one connection that is made when needed and made again when lost.

    Args:
        connect: makes a connection.
        on_connect: statements run on each new connection, e.g. for its temporary tables.
        timeout_s: longest transaction.
    """

    def __init__(
        self, connect: Connect, *, on_connect: Sequence[Query] = (), timeout_s: float = TRANSACTION_TIMEOUT_S
    ) -> None:
        self._connect = connect
        self._on_connect = tuple(on_connect)
        self._timeout_s = timeout_s
        self._connection: AsyncConnection[Any] | None = None
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A transaction: committed when the block ends, rolled back when it raises.

        Raises:
            StoreUnavailable: the database cannot be reached, took too long, or gave way to another transaction.
            StoreRefused: the database does not take the values.
            psycopg.Error: a defect, as it came.
        """
        async with self._lock:
            try:
                async with asyncio.timeout(self._timeout_s):
                    connection = await self._connected()
                    async with connection.transaction():
                        yield connection
            except TimeoutError as error:
                await self._drop()
                raise StoreUnavailable(None, f"no answer within {self._timeout_s:g} s") from error
            except psycopg.Error as error:
                translated = store_error(error)
                if self._connection is not None and self._connection.closed:
                    await self._drop()
                if translated is None:
                    raise
                raise translated from error

    async def close(self) -> None:
        """Close the connection; the next transaction would open a new one."""
        async with self._lock:
            await self._drop()

    async def _connected(self) -> AsyncConnection[Any]:
        if self._connection is not None and not self._connection.closed:
            return self._connection
        await self._drop()
        connection = await self._connect()
        try:
            # A statement outside a transaction block must not leave one open behind it.
            await connection.set_autocommit(True)
            for statement in self._on_connect:
                await connection.execute(statement)
        except BaseException:
            await connection.close()
            raise
        self._connection = connection
        return connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                await connection.close()
