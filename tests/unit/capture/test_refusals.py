"""What a refused row's dead letter says."""

import hashlib

from capture.envelope import Event
from capture.refusals import RefusedRow, dead_letter, oversize
from schemas.dead_letter import CUT_VALUE_BYTES
from schemas.errors import Reason


def row(value=b"v", event_id="e-1"):
    return RefusedRow(
        table="t", identity="t#7", row_id="7", event_id=event_id, key=b"k", value=value, lsn=0x1_0000_00AB, ordinal=3,
        commit_us=5_000_123, epoch="9-1", reason=Reason.TOO_LARGE, error="too big",
    )  # fmt: skip


def letter(refused):
    return dead_letter(refused, topic="cdc.public.t", version="1", now_ms=99)


def test_it_says_where_the_row_stood_and_what_it_was():
    made = letter(row())
    assert (made.topic, made.partition, made.offset, made.timestamp_ms) == ("cdc.public.t", -1, -1, 5_000)
    assert made.source_identity == "e-1"
    assert "t#7 at 1/AB, row 3" in made.error
    assert dict(made.headers) == {"bongsu.epoch": b"9-1", "bongsu.position": b"1/AB 3", "bongsu.row": b"t#7"}
    assert (made.reason, made.role, made.first_failed_ms) == (Reason.TOO_LARGE.value, "relay", 99)


def test_without_an_event_id_the_row_itself_is_the_identity():
    assert letter(row(event_id=None)).source_identity == "t#7"


def test_a_large_value_is_cut_and_its_digest_kept():
    value = b"x" * (CUT_VALUE_BYTES + 1)
    made = letter(row(value))
    assert made.value == value[:CUT_VALUE_BYTES]
    assert made.value_bytes == len(value)
    assert made.value_sha256 == hashlib.sha256(value).digest()


def test_a_value_that_fits_is_whole_and_has_no_digest():
    made = letter(row(b"x" * CUT_VALUE_BYTES))
    assert (len(made.value), made.value_sha256) == (CUT_VALUE_BYTES, None)


def test_key_and_value_count_together():
    assert oversize(Event(b"12", b"12345678"), 10) is None
    assert "11 bytes" in oversize(Event(b"123", b"12345678"), 10)
    assert oversize(Event(None, None), 0) is None
