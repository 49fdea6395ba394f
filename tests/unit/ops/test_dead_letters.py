"""How refused records are shown."""

import base64

import pytest

from ops.cluster import RawRecord
from ops.dead_letters import dead_letter_topics, shown_bytes, summary, time_text, whole
from ops.errors import NotFound
from schemas.dead_letter import DeadLetter

AT = RawRecord("activity.events.dead-letters", 0, 7, 1, b"k", b"...")


def letter(**changes):
    fields = {
        "topic": "activity.events",
        "partition": 2,
        "offset": 1041,
        "timestamp_ms": 1_771_556_645_678,
        "key": b"member:42",
        "value": b"\x00\x00",
        "headers": (("trace", b"t"), ("none", None)),
        "source_identity": "e-1",
        "reason": "truncated",
        "error": "the body does not decode",
        "attempts": 1,
        "first_failed_ms": 1_771_556_645_678,
        "role": "activity",
        "version": "0.1.0",
        "value_bytes": 2,
    }
    return DeadLetter(**{**fields, **changes}).to_avro()


def test_a_row_says_when_where_why_and_where_the_letter_lies():
    row = summary(AT, letter())
    assert row["time"] == "2026-02-20T03:04:05.678Z"
    assert (row["topic"], row["position"], row["reason"]) == ("activity.events", "2/1041", "truncated")
    assert row["letter"] == "activity.events.dead-letters/0/7"


def test_the_whole_letter_has_every_byte_in_a_readable_form():
    shown = whole(AT, letter(value_sha256=b"\xab" * 32, value_bytes=2_000_000))
    assert shown["key"] == {"encoding": "utf-8", "data": "member:42"}
    assert shown["value"] == {"encoding": "base64", "data": "AAA="}
    assert shown["headers"] == [
        {"name": "trace", "value": {"encoding": "utf-8", "data": "t"}},
        {"name": "none", "value": None},
    ]
    assert shown["value_sha256"] == "ab" * 32
    assert shown["value_bytes"] == 2_000_000


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"\x00\x01", b"\x1b[31m", b"a\x00b"])
def test_bytes_that_would_steer_a_terminal_are_base64(raw):
    shown = shown_bytes(raw)
    assert shown["encoding"] == "base64"
    assert base64.b64decode(shown["data"]) == raw


@pytest.mark.parametrize("text", ["", "{}", "한글 ✓", "two\nlines\tand a tab"])
def test_text_stays_text(text):
    assert shown_bytes(text.encode()) == {"encoding": "utf-8", "data": text}


def test_a_null_value_stays_null():
    assert shown_bytes(None) is None


def test_topics_are_found_by_either_name():
    assert dead_letter_topics("activity.events") == ["activity.events.dead-letters"]
    assert dead_letter_topics("activity.events.dead-letters") == ["activity.events.dead-letters"]
    assert len(dead_letter_topics(None)) >= 6
    for wrong in ("nope", "alerts"):
        with pytest.raises(NotFound, match=wrong):
            dead_letter_topics(wrong)


def test_times():
    assert time_text(0) == "1970-01-01T00:00:00.000Z"
