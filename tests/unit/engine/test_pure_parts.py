"""Back-off, credit, stall watch, batches, security settings."""

import asyncio
import ssl

import pytest

from streams.engine.backoff import retry_delay_s
from streams.engine.batch import PlainRecord, RecordBatch
from streams.engine.credit import SliceCredit
from streams.engine.kafka_security import KafkaSecurity, credentials, tls_context
from streams.engine.positions import Partition
from streams.engine.progress import StallWatch, Standing

A, B = Partition("in", 0), Partition("in", 1)


@pytest.mark.parametrize(
    ("attempt", "jitter", "expected"),
    [(1, 0.0, 0.1), (1, 0.999, 0.2), (3, 0.0, 0.4), (50, 0.0, 15.0), (9999, 0.0, 15.0)],
)
def test_back_off_doubles_up_to_its_cap(attempt, jitter, expected):
    assert retry_delay_s(attempt, base_s=0.2, cap_s=30.0, jitter=jitter) == pytest.approx(expected, rel=0.01)


def batch_of(*offsets: int, first: int = 0, end: int = 100) -> RecordBatch:
    records = tuple(PlainRecord("in", 0, offset, 0, None, b"") for offset in offsets)
    return RecordBatch("in", 0, records, first, end, 1)


def test_halves_cover_the_batch_without_overlap():
    left, right = batch_of(3, 7, 9, first=1, end=20).halves()
    assert [record.offset for record in (*left.records, *right.records)] == [3, 7, 9]
    assert (left.first_offset, left.next_offset, right.first_offset, right.next_offset) == (1, 7, 7, 20)


def test_a_batch_trimmed_into_a_hole_keeps_its_end():
    trimmed = batch_of(3, 7, first=1, end=20).starting_at(8)
    assert (len(trimmed), trimmed.first_offset, trimmed.next_offset) == (0, 8, 20)
    whole = batch_of(3, 7, first=1, end=20)
    assert whole.starting_at(1) is whole


class Slice:
    pass


def test_a_partition_has_room_for_two_slices_and_each_for_itself():
    credit, one, two = SliceCredit(limit=2), Slice(), Slice()
    credit.take(A, one)
    credit.take(A, two)
    assert not credit.has_room(A)
    assert credit.has_room(B)
    credit.give_back(A, one)
    assert credit.has_room(A)


def test_a_slice_that_faust_forgot_makes_room():
    credit, forgotten = SliceCredit(limit=1), Slice()
    credit.take(A, forgotten)
    del forgotten
    assert credit.has_room(A)


def test_a_slice_from_before_a_rebalance_returns_nothing():
    credit, before, after = SliceCredit(limit=1), Slice(), Slice()
    credit.take(A, before)
    credit.reset()
    credit.take(A, after)
    credit.give_back(A, before)
    assert not credit.has_room(A)


async def test_waiting_for_room_ends_with_a_slice():
    credit, one = SliceCredit(limit=1), Slice()
    credit.take(A, one)
    waiting = asyncio.create_task(credit.wait_returned(60))
    await asyncio.sleep(0)
    credit.give_back(A, one)
    await waiting


def standing(acknowledged: int, *, under_way: int = 0, behind: int | None = 10) -> dict[Partition, Standing]:
    return {A: Standing(acknowledged, under_way, behind)}


def test_work_without_progress_is_a_stall_after_the_limit():
    watch = StallWatch(60)
    assert watch.observe(0, standing(5), excused=False) == []
    assert watch.observe(60, standing(5), excused=False) == []
    assert watch.observe(61, standing(5), excused=False) == [A]


@pytest.mark.parametrize(
    "between",
    [
        (standing(6), False),  # an offset moved
        (standing(5, behind=0), False),  # nothing to do
        (standing(5, behind=None), False),  # the broker is away
        (standing(5), True),  # a told wait
        ({}, False),  # the partition is another's
    ],
)
def test_progress_idleness_and_told_waits_begin_the_clock_anew(between):
    watch = StallWatch(60)
    watch.observe(0, standing(5), excused=False)
    standings, excused = between
    watch.observe(40, standings, excused=excused)
    assert watch.observe(90, standing(5), excused=False) == []
    assert watch.observe(151, standing(5), excused=False) == [A]


def test_a_slice_in_hand_is_work_even_at_the_end_of_the_log():
    watch = StallWatch(60)
    for now_s in (0, 61):
        stalled = watch.observe(now_s, standing(5, under_way=1, behind=0), excused=False)
    assert stalled == [A]


def test_plaintext_needs_no_credentials():
    assert credentials(KafkaSecurity()) is None


def test_sasl_over_tls_carries_mechanism_and_context():
    found = credentials(KafkaSecurity("SASL_SSL", sasl_mechanism="SCRAM-SHA-512", sasl_username="u", sasl_password="p"))
    assert found.protocol.value == "SASL_SSL"
    assert found.mechanism.value == "SCRAM-SHA-512"
    assert (found.username, found.password) == ("u", "p")
    assert found.ssl_context.verify_mode is ssl.CERT_REQUIRED


def test_sasl_without_tls_has_no_context():
    found = credentials(KafkaSecurity("SASL_PLAINTEXT", sasl_mechanism="PLAIN", sasl_username="u", sasl_password="p"))
    assert (found.protocol.value, found.ssl_context) == ("SASL_PLAINTEXT", None)


def test_tls_checks_host_names_by_default():
    context = tls_context(KafkaSecurity("SSL"))
    assert context.check_hostname
    assert credentials(KafkaSecurity("SSL")).protocol.value == "SSL"


@pytest.mark.parametrize(
    ("security", "sentence"),
    [
        (KafkaSecurity("TLS"), "kafka_security_protocol is 'TLS'"),
        (KafkaSecurity("SASL_SSL", sasl_mechanism="PLAIN"), "needs kafka_sasl_username, kafka_sasl_password"),
    ],
)
def test_settings_that_do_not_fit_name_the_key(security, sentence):
    with pytest.raises(ValueError, match=sentence):
        credentials(security)
