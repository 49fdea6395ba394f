"""A dead letter fits its topic, whatever stands in the record."""

from dataclasses import dataclass, field

from schemas.avro import AvroCodec
from schemas.dead_letter import CUT_VALUE_BYTES
from streams.engine.letters import LetterHead
from streams.engine.outcomes import Refusal
from topics.registry import MAX_MESSAGE_BYTES

LIMIT = 1_000_000


@dataclass
class Record:
    key: bytes | None = b"k"
    value: bytes | None = b"v"
    headers: list = field(default_factory=list)
    topic: str = "activity.events"
    partition: int = 0
    offset: int = 7
    timestamp: int = 1


def letter(record):
    head = LetterHead(role="activity", version="0", max_value_bytes=LIMIT)
    return head.letter(Refusal(record, "not_avro", "x" * 10_000, None), attempts=1, first_failed_ms=1)


def encoded_bytes(one):
    return len(AvroCodec({"dead-letter": 1}).encode("dead-letter", one.to_avro())) + len(one.key or b"")


def test_what_fits_is_kept_whole():
    record = Record(value=b"v" * LIMIT, headers=[("bongsu.epoch", b"1-1"), ("empty", None)])
    kept = letter(record)
    assert (kept.key, kept.value, kept.headers) == (b"k", record.value, (("bongsu.epoch", b"1-1"), ("empty", None)))
    assert kept.value_sha256 is None


def test_nothing_in_a_record_makes_its_letter_too_large():
    huge = b"h" * 2_000_000
    hostile = Record(key=huge, value=b"v" * LIMIT, headers=[("x" * 50_000, huge), ("y", huge)] + [("z", b"z")] * 1_000)
    cut = letter(hostile)
    assert len(cut.key) == CUT_VALUE_BYTES
    assert encoded_bytes(cut) < MAX_MESSAGE_BYTES
    assert encoded_bytes(letter(Record(key=huge, value=huge, headers=[("", huge)]))) < MAX_MESSAGE_BYTES


def test_a_cut_value_tells_its_size_and_digest():
    cut = letter(Record(value=b"v" * (LIMIT + 1)))
    assert (len(cut.value), cut.value_bytes) == (CUT_VALUE_BYTES, LIMIT + 1)
    assert cut.value_sha256 is not None
