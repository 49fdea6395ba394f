"""Marks that wait for the slot, and what is written once it has passed one."""

from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from capture import progress as module
from capture.metrics import CaptureMetrics
from capture.progress import COMMIT_STALL_MS, PendingMarks, ProgressSettings, ProgressWriter
from capture.source import SourcePosition
from schemas.progress import decode_progress


def mark(clock_ms, lsn, epoch="9-1"):
    return SourcePosition(clock_ms, lsn, epoch)


def test_the_newest_passed_mark_counts():
    marks = PendingMarks(10)
    for at in range(1, 6):
        marks.add(mark(at * 100, at * 10))
    assert marks.confirmed(9) is None
    assert marks.confirmed(35) == mark(300, 30)
    assert len(marks) == 2
    assert marks.oldest_ms == 400
    assert marks.confirmed(35) is None


def test_too_many_marks_are_thinned_and_the_oldest_stays():
    marks = PendingMarks(8)
    for at in range(100):
        marks.add(mark(at, at))
    assert len(marks) <= 9
    assert marks.confirmed(0) == mark(0, 0)
    assert marks.confirmed(1_000) is not None


def test_another_epoch_forgets_the_marks_before():
    marks = PendingMarks(8)
    marks.add(mark(1, 1_000))
    marks.add(mark(2, 5, epoch="9-2"))
    assert marks.confirmed(10) == mark(2, 5, epoch="9-2")
    assert len(marks) == 0


class FakeProducer:
    def __init__(self):
        self.records = []

    def produce(self, topic, value, key, **options):
        self.records.append((topic, key, value, options["partition"], options["headers"]))
        options["on_delivery"](None, None)

    def flush(self, timeout):
        return 0


class Source:
    """A database whose answers the test sets."""

    def __init__(self):
        self.position = mark(10_000, 100)
        self.confirmed = 0
        self.executed = []

    def execute(self, query, *_):
        self.executed.append(query)


@pytest.fixture
def source(monkeypatch):
    source = Source()
    monkeypatch.setattr(module, "source_position", lambda connection: connection.position)
    monkeypatch.setattr(module.slot, "slot_state", lambda connection, name: slot_of(connection))
    return source


def slot_of(source):
    if source.confirmed is None:
        return None
    return SimpleNamespace(
        active=True, confirmed_flush_lsn=source.confirmed, restart_lsn=0, current_lsn=source.position.current_lsn,
        safe_wal_size=None,
    )  # fmt: skip


def writer(producer, ends):
    return ProgressWriter(
        ProgressSettings("bongsu", ("cdc.public.a",), nudge_after_s=2),
        connect=lambda: None,
        open_producer=lambda: producer,
        end_offsets=ends,
        metrics=CaptureMetrics(CollectorRegistry()),
    )


def test_nothing_is_written_before_the_slot_has_passed_the_mark(source):
    producer, asked = FakeProducer(), []
    written = writer(producer, lambda topics: asked.append(topics) or {"cdc.public.a": (3, 4)})
    source.confirmed = 99
    assert written.tick(source) is None
    assert (producer.records, asked) == ([], [])
    source.position, source.confirmed = mark(10_250, 150), 120
    progress = written.tick(source)
    assert (progress.lsn, progress.commit_ms, progress.epoch) == (100, 10_000 - COMMIT_STALL_MS, "9-1")
    topic, key, value, partition, headers = producer.records[0]
    assert (topic, key, partition) == ("bongsu.progress", b"bongsu", 0)
    assert headers == [("bongsu.epoch", b"9-1")]
    assert decode_progress(value) == progress
    assert asked == [("cdc.public.a",)]


def test_an_idle_source_still_lets_time_pass(source):
    producer = FakeProducer()
    written = writer(producer, lambda topics: {"cdc.public.a": (0,)})
    source.confirmed = 100
    times = []
    for clock_ms in (10_000, 10_250, 10_500):
        source.position = mark(clock_ms, 100)
        times.append(written.tick(source).commit_ms)
    assert times == [9_900, 10_150, 10_400]


def test_time_never_goes_back(source):
    written = writer(FakeProducer(), lambda topics: {})
    source.confirmed = 100
    assert written.tick(source) is not None
    source.position = mark(9_000, 100)
    assert written.tick(source) is None


def test_without_a_slot_there_is_no_progress(source):
    source.confirmed = None
    assert writer(FakeProducer(), lambda topics: {}).tick(source) is None


def test_a_waiting_mark_nudges_the_slot_at_most_every_two_seconds(source):
    written = writer(FakeProducer(), lambda topics: {})
    for clock_ms in range(10_000, 16_001, 500):
        source.position = mark(clock_ms, 100)
        written.tick(source)
    assert len(source.executed) == 3
    assert "pg_logical_emit_message" in source.executed[0]
