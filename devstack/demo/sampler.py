"""Takes the figures of the live view: a few cheap queries and offsets a second, never waiting long for a frozen part.

Counting all rows every second would cost more the longer a demo runs, so settled rows are counted once (`RowCounter`).
"""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, LiteralString

import psycopg
from confluent_kafka import KafkaException
from psycopg import sql

from devstack.demo.figures import Figures
from devstack.demo.offsets import Offsets
from devstack.demo.witness import OUTBOX_TOPIC, Witness, alert_lines
from topics.registry import topics

_UNSETTLED: Final = 20_000
_GIVE_UP_S: Final = 3.0
_OUTBOX_PLACES: Final = [(OUTBOX_TOPIC, number) for number in range(topics()[OUTBOX_TOPIC].partitions)]
_TABLES: Final = ("user_activity_source_outbox", "user_activity_event", "user_activity_dispatch_outbox")
_WAITING: Final = """
SELECT (SELECT count(*) FROM user_activity_dispatch_outbox WHERE status <> 'DISPATCHED'),
       (SELECT count(*) FROM notify_jobs WHERE status IN ('READY', 'LOCKED')),
       (SELECT max(pg_current_wal_lsn() - confirmed_flush_lsn) FROM pg_replication_slots)
"""
_OUTCOMES: Final = """
SELECT count(*) FILTER (WHERE status = 'DELIVERED'),
       count(*) FILTER (WHERE status = 'FAILED' AND http_status IN (404, 410)),
       count(*) FILTER (WHERE status = 'FAILED' AND http_status IS DISTINCT FROM 404
                                            AND http_status IS DISTINCT FROM 410)
FROM push_message_logs
"""


class RowCounter:
    """Counts a growing table by its id: the newest rows each time, older ones once.

    Rows may become visible out of the order of their ids, so the newest `_UNSETTLED` ids are never taken as settled.
    """

    def __init__(self, table: str) -> None:
        self._table = sql.Identifier(table)
        self._settled_id = 0
        self._settled_rows = 0

    def count(self, connection: psycopg.Connection[Any]) -> int:
        """Rows of the table now."""
        fresh, newest = self._look(connection, "SELECT count(*), max(id) FROM {} WHERE id > %s")
        found = self._settled_rows + fresh
        if newest is not None and newest - self._settled_id > 2 * _UNSETTLED:
            upto = newest - _UNSETTLED
            settled, _ = self._look(connection, "SELECT count(*), 0 FROM {} WHERE id > %s AND id <= %s", upto)
            self._settled_rows += settled
            self._settled_id = upto
        return found

    def _look(self, connection: psycopg.Connection[Any], text: LiteralString, *more: int) -> tuple[int, int | None]:
        row = connection.execute(sql.SQL(text).format(self._table), [self._settled_id, *more]).fetchone()
        assert row is not None
        return int(row[0]), row[1]


class Sampler:
    """Figures on demand, from what its two threads read last.

    Args:
        database_url: the demo's database.
        offsets: where topics end and how far groups are.
        witness: dead letters and alerts.
        processes: name to state, asked for at each sample.
        faults: what is broken on purpose, asked for at each sample.
        duplicates: how many duplicates the store counted so far; None when unknown.
    """

    def __init__(
        self,
        database_url: str,
        offsets: Offsets,
        witness: Witness,
        *,
        processes: Callable[[], Mapping[str, str]],
        faults: Callable[[], Mapping[str, str]],
        duplicates: Callable[[], int | None],
    ) -> None:
        self._database_url = database_url
        self._offsets = offsets
        self._witness = witness
        self._processes = processes
        self._faults = faults
        self._duplicates = duplicates
        self._stopping = threading.Event()
        self._counters = [RowCounter(table) for table in _TABLES]
        self._counts: dict[str, int] = {}
        self._captured = 0
        self._waiting: dict[str, int | None] = {}
        self._lags: dict[str, int] | None = None
        self._failing: dict[str, bool] = {"postgres": False, "broker": False}
        self._looking_since_s: dict[str, float] = {}
        self._connection: psycopg.Connection[Any] | None = None
        self._threads = [
            threading.Thread(target=self._repeat, args=(part, look, every_s), name=f"sampler {part}", daemon=True)
            for part, look, every_s in (
                ("postgres", self._look_at_postgres, 1.0),
                ("broker", self._look_at_broker, 1.0),
            )
        ]

    def start(self) -> None:
        """Begin to read."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop reading; a read that hangs on a frozen part is left behind."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(_GIVE_UP_S)
        if self._connection is not None:
            self._connection.close()

    def figures(self) -> Figures:
        """The newest figures; never waits."""
        waiting = self._waiting
        return Figures(
            at_s=time.monotonic(),
            now_ms=time.time_ns() // 1_000_000,
            counts={**self._counts, "captured": self._captured},
            duplicates=self._duplicates(),
            dead_letters=self._witness.reasons(),
            gone=waiting.get("gone") or 0,
            failed=waiting.get("failed") or 0,
            jobs_waiting=waiting.get("jobs") or 0,
            dispatch_waiting=waiting.get("dispatch") or 0,
            lag=self._lags,
            slot_bytes=waiting.get("slot"),
            alerts=alert_lines(self._witness.alerts()),
            processes=self._processes(),
            faults=self._faults(),
            unreachable=tuple(part for part in self._failing if self._silent(part)),
        )

    def _silent(self, part: str) -> bool:
        # A read of a frozen server never fails: its kernel goes on to acknowledge.
        since_s = self._looking_since_s.get(part)
        return self._failing[part] or (since_s is not None and time.monotonic() - since_s > _GIVE_UP_S)

    def _repeat(self, part: str, look: Callable[[], None], every_s: float) -> None:
        while not self._stopping.is_set():
            self._looking_since_s[part] = time.monotonic()
            try:
                look()
            except (psycopg.Error, KafkaException):
                self._failing[part] = True
            else:
                self._failing[part] = False
            finally:
                del self._looking_since_s[part]
            self._stopping.wait(every_s)

    def _look_at_postgres(self) -> None:
        try:
            self._read_postgres()
        except psycopg.Error:
            if self._connection is not None:
                with contextlib.suppress(psycopg.Error):
                    self._connection.close()
            self._connection = None
            raise

    def _read_postgres(self) -> None:
        if self._connection is None:
            self._connection = psycopg.connect(
                self._database_url,
                autocommit=True,
                connect_timeout=2,
                tcp_user_timeout=3_000,
                application_name="bongsu demo view",
            )
        connection = self._connection
        outbox, stored, dispatched = (counter.count(connection) for counter in self._counters)
        dispatch, jobs, slot = connection.execute(_WAITING).fetchone() or (0, 0, None)
        delivered, gone, failed = connection.execute(_OUTCOMES).fetchone() or (0, 0, 0)
        self._counts = {
            "outbox rows": outbox,
            "stored": stored,
            "dispatched": max(0, dispatched - dispatch),
            "pushed": delivered,
        }
        self._waiting = {
            "dispatch": dispatch,
            "jobs": jobs,
            "gone": gone,
            "failed": failed,
            "slot": None if slot is None else int(slot),
        }

    def _look_at_broker(self) -> None:
        try:
            self._lags = self._offsets.lag()
            self._captured = sum(self._offsets.ends(_OUTBOX_PLACES).values())
        except KafkaException:
            self._lags = None
            raise
