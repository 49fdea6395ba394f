"""The watermark on a real database, with the relay and without it."""

import pytest

from capture.progress import COMMIT_STALL_MS
from schemas.progress import decode_progress
from tests.integration.capture.rig import OUTBOX, eventually, in_thread
from topics.registry import PROGRESS, cdc_topic

pytestmark = pytest.mark.integration


def written(rig):
    return [decode_progress(message.value()) for message in rig.messages(PROGRESS)]


def now_ms(rig):
    ((milliseconds,),) = rig.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
    return milliseconds


def test_whoever_reads_to_the_end_offsets_has_seen_every_commit(rig):
    with rig.running(), in_thread(rig.progress_writer().run):
        for number in range(5):
            rig.insert(number)
        after_ms = now_ms(rig)
        progress = eventually(
            lambda: next((p for p in written(rig) if p.commit_ms > after_ms), None), "a mark past the inserts"
        )
        before = sum(
            end - rig.since[cdc_topic(OUTBOX), at] for at, end in enumerate(progress.end_offsets[cdc_topic(OUTBOX)])
        )
        assert before == 5
        header = rig.messages(cdc_topic(OUTBOX))[0].headers()[0][1].decode()
        assert progress.epoch == header
    marks = written(rig)
    assert [mark.commit_ms for mark in marks] == sorted({mark.commit_ms for mark in marks})


def test_a_commit_that_is_not_in_kafka_is_not_claimed(rig):
    with rig.running(), in_thread(rig.progress_writer().run):
        eventually(lambda: written(rig), "a first mark")
    # The relay has stopped: the slot stands still, and so must the watermark.
    rig.insert(1)
    committed_ms = now_ms(rig)
    with in_thread(rig.progress_writer().run):
        eventually(lambda: now_ms(rig) - committed_ms > 1_500, "time to pass")
    assert all(mark.commit_ms < committed_ms for mark in written(rig))
    with rig.running(), in_thread(rig.progress_writer().run):
        eventually(lambda: [m for m in written(rig) if m.commit_ms > committed_ms], "the watermark to go on")


def test_an_idle_source_lets_time_pass_about_four_times_a_second(rig):
    with rig.running(), in_thread(rig.progress_writer().run):
        eventually(lambda: len(written(rig)) >= 6, "six marks")
    times = [mark.commit_ms for mark in written(rig)]
    assert times[-1] - times[0] > 4 * 250 - COMMIT_STALL_MS
    assert rig.registry.get_sample_value("capture_slot_active") in (0, 1)
