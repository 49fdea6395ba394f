"""The progress topic: an exact watermark, whoever relays (design.md §4).

A mark is (source clock, end of log), read clock first. Once the slot has confirmed the log's end, everything
committed up to the clock is in Kafka, so the end offsets read afterwards cover it. Nothing here knows the
relay: Debezium may hold the slot.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import psycopg
import structlog

from capture import slot
from capture.clock import SYSTEM_CLOCK, Clock
from capture.errors import CaptureError
from capture.metrics import CaptureMetrics
from capture.ports import Connect, OpenProducer, Producer
from capture.producing import Record, produce_and_wait
from capture.source import SourcePosition, source_position
from schemas.change import EPOCH_HEADER
from schemas.progress import Progress, encode_progress
from topics.registry import PROGRESS

COMMIT_STALL_MS: Final = 100
"""A transaction takes its commit time a moment before its commit record gets its place in the log; a mark
claims that much less than the clock it read, so that a commit caught in between is not claimed."""

_FLUSH_S: Final = 5.0

EndOffsets: TypeAlias = Callable[[Sequence[str]], Mapping[str, tuple[int, ...]]]
"""Port: the end offset of every partition of these topics; raises if Kafka does not tell all of them."""


@dataclass(frozen=True, slots=True)
class ProgressSettings:
    """How progress is written.

    Attributes:
        slot_name: the slot whose confirmed position counts.
        topics: every cdc topic.
        every_s: pause between two marks.
        nudge_after_s: how long a mark may wait before a logical message moves an idle database's slot.
        marks_max: marks kept while the relay catches up; beyond it every second one is forgotten.
    """

    slot_name: str
    topics: tuple[str, ...]
    every_s: float = 0.25
    nudge_after_s: float = 2.0
    marks_max: int = 512


class PendingMarks:
    """Marks that the slot has not confirmed yet, oldest first; pure. A mark of another epoch forgets all before it."""

    def __init__(self, marks_max: int) -> None:
        self._marks_max = marks_max
        self._marks: deque[SourcePosition] = deque()

    def __len__(self) -> int:
        return len(self._marks)

    def add(self, mark: SourcePosition) -> None:
        """Remember a mark; thinned out when there are too many, since any of them is as true as the others."""
        if self._marks and self._marks[-1].epoch != mark.epoch:
            self._marks.clear()
        self._marks.append(mark)
        if len(self._marks) > self._marks_max:
            kept = [mark for at, mark in enumerate(self._marks) if at % 2 == 0]
            self._marks = deque(kept)

    def confirmed(self, confirmed_lsn: int) -> SourcePosition | None:
        """The newest mark that the slot has passed; it and all before it are forgotten."""
        passed = None
        while self._marks and self._marks[0].current_lsn <= confirmed_lsn:
            passed = self._marks.popleft()
        return passed

    @property
    def oldest_ms(self) -> int | None:
        """Source clock of the oldest mark that waits."""
        return self._marks[0].clock_ms if self._marks else None


class ProgressWriter:
    """Writes progress until stopped; gives it a thread of its own.

    Args:
        settings: see `ProgressSettings`.
        connect: SQL connections, autocommit.
        open_producer: its own producer.
        end_offsets: port, asked only after the slot has confirmed.
        metrics: slot gauges are kept here, since the slot is read anyway.
        clock: time.
    """

    def __init__(
        self,
        settings: ProgressSettings,
        *,
        connect: Connect,
        open_producer: OpenProducer,
        end_offsets: EndOffsets,
        metrics: CaptureMetrics,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._open_producer = open_producer
        self._end_offsets = end_offsets
        self._metrics = metrics
        self._clock = clock
        self._log = structlog.get_logger(__name__).bind(slot=settings.slot_name)
        self._producer: Producer | None = None
        self._marks = PendingMarks(settings.marks_max)
        self._nudged_ms = 0
        self._written_ms = 0

    def run(self, stop: threading.Event) -> None:
        """Write progress until `stop` is set; failures are logged and tried again, since a watermark may be late."""
        while not stop.is_set():
            try:
                with closing(self._connect()) as connection:
                    while not stop.is_set():
                        self.tick(connection)
                        stop.wait(self._settings.every_s)
            except (CaptureError, psycopg.Error) as error:
                self._log.warning(
                    "progress.failed", message="progress is not written; trying again", error=str(error).strip()
                )
                stop.wait(1.0)

    def tick(self, connection: psycopg.Connection[Any]) -> Progress | None:
        """Take a mark, and write the newest one that the slot has confirmed, if there is one newer than the last.

        Raises:
            psycopg.Error: the database failed.
            DeliveryFailed: Kafka did not tell the end offsets or did not take the record.
        """
        mark = source_position(connection)
        self._marks.add(mark)
        state = slot.slot_state(connection, self._settings.slot_name)
        if state is None or state.confirmed_flush_lsn is None:
            return None
        self._observe(state)
        passed = self._marks.confirmed(state.confirmed_flush_lsn)
        if passed is None:
            self._nudge(connection, mark)
            return None
        commit_ms = passed.clock_ms - COMMIT_STALL_MS
        if commit_ms <= self._written_ms:
            return None
        ends = self._end_offsets(self._settings.topics)
        progress = Progress(passed.epoch, passed.current_lsn, commit_ms, ends)
        self._write(progress)
        self._written_ms = commit_ms
        self._metrics.progress_age_seconds.set((mark.clock_ms - commit_ms) / 1000)
        return progress

    def _nudge(self, connection: psycopg.Connection[Any], mark: SourcePosition) -> None:
        """Give an idle database's slot something to confirm; a message outside transactions, in no table."""
        oldest_ms, after_ms = self._marks.oldest_ms, self._settings.nudge_after_s * 1000
        waited_ms = 0 if oldest_ms is None else mark.clock_ms - oldest_ms
        if waited_ms >= after_ms and mark.clock_ms - self._nudged_ms >= after_ms:
            connection.execute("SELECT pg_logical_emit_message(false, 'bongsu.heartbeat', '')")
            self._nudged_ms = mark.clock_ms

    def _write(self, progress: Progress) -> None:
        record = Record(
            PROGRESS,
            self._settings.slot_name.encode(),
            encode_progress(progress),
            ((EPOCH_HEADER, progress.epoch.encode()),),
            partition=0,
        )
        producer = self._producer or self._open_producer()
        self._producer = None
        produce_and_wait(producer, [record], _FLUSH_S)
        self._producer = producer

    def _observe(self, state: slot.SlotState) -> None:
        metrics = self._metrics
        metrics.slot_active.set(1 if state.active else 0)
        metrics.slot_confirmed_lag_bytes.set(max(0, state.current_lsn - (state.confirmed_flush_lsn or 0)))
        metrics.slot_restart_lag_bytes.set(max(0, state.current_lsn - (state.restart_lsn or 0)))
        if state.safe_wal_size is not None:
            metrics.slot_safe_wal_bytes.set(state.safe_wal_size)
