"""Writing the outbox: one connection per writer, transactions of very different sizes, and knowing what committed.

A commit whose answer never came (the server was frozen or killed) may have happened: the writer asks the outbox before
it writes again, so that `on_commit` is called exactly once for every transaction that is in the database.
"""

import queue
import threading
from collections.abc import Callable
from typing import Any, Final

import orjson
import psycopg
from prometheus_client import CollectorRegistry

from capture.outbox import EnqueueMetrics, Outbox
from devstack.demo.plan import Draft, Transaction

_COPY_FROM_ROWS: Final = 40
_QUEUED: Final = 8
_RETRY_S: Final = 0.5
_COLUMNS: Final = (
    "event_id, event_name, partition_key, member_id, anonymous_id, session_id, platform, occurred_at, payload"
)


class Writer:
    """One producer of the application: a thread with its own connection.

    Args:
        database_url: where the outbox is.
        on_commit: called from the thread with each transaction once it is known to be committed.
    """

    def __init__(self, database_url: str, on_commit: Callable[[Transaction], None]) -> None:
        self._database_url = database_url
        self._on_commit = on_commit
        self._outbox = Outbox(EnqueueMetrics(CollectorRegistry()))
        self._stopping = threading.Event()
        self._tasks: queue.Queue[Transaction | None] = queue.Queue(_QUEUED)
        self._connection: psycopg.Connection[Any] | None = None
        self._thread = threading.Thread(target=self._run, name="outbox writer", daemon=True)
        self._thread.start()

    def put(self, transaction: Transaction) -> None:
        """Hand over a transaction; waits while the writer is behind. Dropped once stopping."""
        while not self._stopping.is_set():
            try:
                self._tasks.put(transaction, timeout=0.1)
            except queue.Full:
                continue
            return

    def finish(self) -> None:
        """Tell the writer that nothing follows; it ends after what it has."""
        self._tasks.put(None)

    def stop(self) -> None:
        """Give up what is not yet written."""
        self._stopping.set()
        if self._tasks.empty():
            self._tasks.put(None)

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the thread; False when it is still at work after `timeout_s`."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (transaction := self._tasks.get()) is not None and not self._stopping.is_set():
            if self._write(transaction):
                self._on_commit(transaction)
        if self._connection is not None:
            self._connection.close()

    def _write(self, transaction: Transaction) -> bool:
        """True once committed; False when stopped before that."""
        uncertain = False
        while not self._stopping.is_set():
            try:
                connection = self._connected()
                if uncertain and _is_there(connection, transaction.drafts[0]):
                    return True
                with connection.transaction():
                    _insert(self._outbox, connection, transaction.drafts)
                return True
            except psycopg.OperationalError:
                uncertain = True
                self._disconnect()
                self._stopping.wait(_RETRY_S)
        return False

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            self._connection = psycopg.connect(self._database_url, autocommit=True, connect_timeout=10)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _is_there(connection: psycopg.Connection[Any], draft: Draft) -> bool:
    statement = "SELECT 1 FROM user_activity_source_outbox WHERE event_id = %s"
    return connection.execute(statement, [draft.event_id]).fetchone() is not None


def _insert(outbox: Outbox, connection: psycopg.Connection[Any], drafts: tuple[Draft, ...]) -> None:
    """Small transactions call the producers' function row by row, large ones COPY."""
    if len(drafts) >= _COPY_FROM_ROWS:
        with connection.cursor().copy(f"COPY user_activity_source_outbox ({_COLUMNS}) FROM STDIN") as copy:
            for draft in drafts:
                copy.write_row(_row(draft))
        return
    for draft in drafts:
        if draft.spoiled is None:
            _publish(outbox, connection, draft)
        else:
            # A broken producer does not go through the function that would have refused its payload.
            connection.execute(
                f"INSERT INTO user_activity_source_outbox ({_COLUMNS})"  # noqa: S608
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                _row(draft),
            )


def _publish(outbox: Outbox, connection: psycopg.Connection[Any], draft: Draft) -> None:
    outbox.publish_activity(
        connection,
        event_name=draft.event_name,
        properties=orjson.loads(draft.payload),
        partition_key=draft.partition_key,
        event_id=draft.event_id,
        occurred_at=draft.occurred_at,
        member_id=draft.member_id,
        anonymous_id=draft.anonymous_id,
        session_id=draft.session_id,
        platform=draft.platform,
    )


def _row(draft: Draft) -> tuple[object, ...]:
    return (
        draft.event_id,
        draft.event_name,
        draft.partition_key,
        draft.member_id,
        draft.anonymous_id,
        draft.session_id,
        draft.platform,
        draft.occurred_at,
        draft.payload,
    )
