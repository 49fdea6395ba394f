"""The sweeper: reads rows whose next stage has not happened and emits them again with op `r`; I/O.

One code path for a first start, a lost slot, a broker that lost data and rows decoded before they were
visible (design.md §1). It uses the relay's own encoders on the server's text output, with a producer and a
connection of its own, and works beside the relay or beside Debezium. A page is done when Kafka acknowledged
all of it.
"""

import threading
from collections.abc import Sequence
from contextlib import closing
from typing import Any, Final

import psycopg
import structlog
from psycopg import sql

from capture import slot
from capture.clock import SYSTEM_CLOCK, Clock
from capture.envelope import Event, Origin, Stamp, TableEncoder
from capture.errors import CaptureError, UndecodableValue
from capture.metrics import CaptureMetrics
from capture.pgoutput import Column, Relation, Row
from capture.ports import Connect, OpenProducer, Producer, Refuse
from capture.producing import Record, produce_and_wait
from capture.refusals import RowPosition, oversize, refused_row
from capture.source import SourcePosition, source_position
from capture.sql import statement
from capture.sweep_plan import SweepSettings, TableSweep, pause_s, sweeps_for
from schemas.change import EPOCH_HEADER
from schemas.errors import Reason

_FLUSH_S: Final = 30.0
_LOCK: Final = "sweeper"


class Sweeper:
    """Sweeps on a timer, and for a new slot.

    Args:
        settings: see `SweepSettings`.
        connect: SQL connections, autocommit, formats pinned.
        open_producer: its own producer, opened when there is something to emit.
        refuse: port for rows that cannot be relayed.
        metrics: counters.
        clock: time.
    """

    def __init__(
        self,
        settings: SweepSettings,
        *,
        connect: Connect,
        open_producer: OpenProducer,
        refuse: Refuse,
        metrics: CaptureMetrics,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._open_producer = open_producer
        self._refuse = refuse
        self._metrics = metrics
        self._clock = clock
        self._log = structlog.get_logger(__name__)
        self._producer: Producer | None = None
        self._after_id: dict[str, int] = {}
        # The relay's thread catches up while the timer's thread may want to sweep.
        self._one_at_a_time = threading.Lock()

    def run(self, stop: threading.Event) -> None:
        """Sweep every `sweep_every_s` until stopped; a pass that fails is logged and tried again."""
        while not stop.wait(self._settings.sweep_every_s):
            try:
                self.sweep(stop)
            except (CaptureError, psycopg.Error) as error:
                self._log.warning(
                    "sweep.failed", message="sweep failed; the next one goes on behind it", error=str(error).strip()
                )

    def sweep(self, stop: threading.Event) -> dict[str, int]:
        """One pass over rows older than `sweep_after_s`; returns the rows emitted per table.

        Raises:
            DeliveryFailed: Kafka did not acknowledge a page.
            psycopg.Error: the database failed.
        """
        with self._one_at_a_time, closing(self._connect()) as connection:
            state = slot.slot_state(connection, self._settings.relay.slot_name)
            if state is None or state.current_lsn - (state.confirmed_flush_lsn or 0) > self._settings.backlog_bytes:
                return {}
            # Two relays may run; one sweep at a time is enough.
            if not slot.try_lock(connection, _LOCK):
                return {}
            return self._sweep_tables(connection, stop, state.confirmed_flush_lsn, everything=False)

    def catch_up(self, stop: threading.Event) -> None:
        """Emit everything that a slot made just now does not carry: all unfinished rows.

        Raises:
            DeliveryFailed: Kafka did not acknowledge a page.
            psycopg.Error: the database failed.
        """
        with self._one_at_a_time, closing(self._connect()) as connection:
            swept = self._sweep_tables(connection, stop, None, everything=True)
        self._log.info("sweep.caught_up", message="caught up before the new slot", rows=swept)

    def _sweep_tables(
        self, connection: psycopg.Connection[Any], stop: threading.Event, confirmed_lsn: int | None, *, everything: bool
    ) -> dict[str, int]:
        swept = {}
        for sweep in sweeps_for(self._settings.relay.tables):
            source = source_position(connection)
            ids = self._due_ids(connection, sweep, everything=everything)
            run = _TableRun(connection, sweep, source, source.current_lsn if confirmed_lsn is None else confirmed_lsn)
            swept[sweep.table] = self._emit_all(run, ids, stop, schedule=not everything)
        return swept

    def _due_ids(self, connection: psycopg.Connection[Any], sweep: TableSweep, *, everything: bool) -> Sequence[int]:
        parameters = {
            "min_age_s": 0.0 if everything else self._settings.sweep_after_s,
            "everything": everything,
            "limit": None if everything else self._settings.rows_per_pass,
            "after_id": 0 if everything else self._after_id.get(sweep.table, 0),
        }
        ids = [row_id for (row_id,) in connection.execute(statement(sweep.due), parameters)]
        if not everything and sweep.resumes and len(ids) < self._settings.rows_per_pass:
            self._after_id.pop(sweep.table, None)
        return ids

    def _emit_all(self, run: "_TableRun", ids: Sequence[int], stop: threading.Event, *, schedule: bool) -> int:
        size = self._settings.page_rows
        emitted = 0
        for start in range(0, len(ids), size):
            if stop.is_set():
                break
            page = list(ids[start : start + size])
            started_s = self._clock.monotonic_s()
            self._emit_page(run, page)
            emitted += len(page)
            if schedule:
                self._note(run, page)
                if run.sweep.resumes and len(ids) >= self._settings.rows_per_pass:
                    self._after_id[run.sweep.table] = page[-1]
            stop.wait(pause_s(len(page), self._clock.monotonic_s() - started_s, self._settings.rows_per_s))
        if emitted:
            self._log.info("sweep.emitted", message="rows emitted again", table=run.sweep.table, rows=emitted)
        return emitted

    def _note(self, run: "_TableRun", page: list[int]) -> None:
        if run.sweep.schedules is None:
            return
        parameters = {"ids": page, "base_s": self._settings.sweep_after_s}
        scheduled = run.connection.execute(statement(run.sweep.schedules), parameters).rowcount
        self._metrics.outbox_retry.labels("scheduled").inc(scheduled)

    def _emit_page(self, run: "_TableRun", ids: list[int]) -> None:
        relation, rows = run.read(ids)
        relay = self._settings.relay
        origin = Origin(relay.connector_version, relay.topic_prefix, run.connection.info.dbname)
        table = TableEncoder(relation, origin, relay.key_columns.get(relation.table))
        now_ns = self._clock.wall_ns()
        stamp = Stamp(now_ns // 1000, run.confirmed_lsn, None, "incremental")
        events = []
        for ordinal, row in enumerate(rows, 1):
            event = self._event_or_refusal(run, table, row, stamp, ordinal)
            if event is not None:
                events.append(event)
        self._publish(table.topic, events, run.source.epoch)
        self._metrics.swept_rows.labels(relation.table).inc(len(events))

    def _event_or_refusal(
        self, run: "_TableRun", table: TableEncoder, row: Row, stamp: Stamp, ordinal: int
    ) -> Event | None:
        position = RowPosition(0, ordinal, stamp.commit_us, run.source.epoch)
        try:
            event = table.read(row, stamp, self._clock.wall_ns())
        except UndecodableValue as error:
            refused = refused_row(table, row, None, position=position, reason=Reason.INVALID_FIELD, error=str(error))
        else:
            too_large = oversize(event, self._settings.relay.max_record_bytes)
            if too_large is None:
                return event
            refused = refused_row(table, row, event, position=position, reason=Reason.TOO_LARGE, error=too_large)
        self._log.warning(
            "relay.row_refused",
            message="row refused",
            row=refused.identity,
            reason=refused.reason.value,
            error=refused.error,
        )
        self._refuse(refused)
        self._metrics.dead_letters.labels(refused.table, refused.reason.value).inc()
        return None

    def _publish(self, topic: str, events: Sequence[Event], epoch: str) -> None:
        """Produce a page and wait for all of it."""
        headers = ((EPOCH_HEADER, epoch.encode()),)
        records = [Record(topic, event.key, event.value, headers) for event in events]
        producer = self._producer or self._open_producer()
        self._producer = None
        produce_and_wait(producer, records, _FLUSH_S)
        self._producer = producer


class _TableRun:
    """One table's pass: its connection, its source position and how its rows are read."""

    def __init__(
        self, connection: psycopg.Connection[Any], sweep: TableSweep, source: SourcePosition, confirmed_lsn: int
    ) -> None:
        self.connection = connection
        self.sweep = sweep
        self.source = source
        self.confirmed_lsn = confirmed_lsn

    def read(self, ids: list[int]) -> tuple[Relation, list[Row]]:
        """Whole rows in the order of `ids`, as the server's text: what pgoutput would have sent for them."""
        query = sql.SQL(statement("rows_by_id")).format(table=sql.Identifier(self.sweep.table))
        cursor = self.connection.execute(query, {"ids": ids})
        result = cursor.pgresult
        assert result is not None
        columns = tuple(
            Column(name.decode(), result.ftype(at), result.fmod(at), name == b"id")
            for at in range(result.nfields)
            if (name := result.fname(at)) is not None
        )
        rows: list[Row] = [
            [_bytes(result.get_value(row, column)) for column in range(result.nfields)] for row in range(result.ntuples)
        ]
        return Relation(0, "public", self.sweep.table, "d", columns), rows


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)
