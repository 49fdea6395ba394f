"""Golden frames for every message of pgoutput version 1, and what must not pass for one."""

import struct

import pytest

from capture.errors import MalformedFrame
from capture.pgoutput import (
    UNCHANGED,
    Begin,
    Column,
    Commit,
    Decoder,
    Delete,
    Insert,
    Keepalive,
    LogicalMessage,
    Origin,
    Relation,
    Truncate,
    Type,
    Update,
)
from tests.unit.capture import frames

COLUMNS = [("id", 20, -1, True), ("name", 25, -1, False), ("at", 1184, 3, False)]


def decode(frame):
    return Decoder().decode(frame)


def test_keepalive():
    assert decode(frames.keepalive(0x1_0000_0002, reply=True)) == Keepalive(0x1_0000_0002, True)
    assert decode(frames.keepalive(5)) == Keepalive(5, False)


def test_begin_and_commit_carry_unix_time():
    at_us = 1_795_242_606_997_180
    assert decode(frames.begin(0x20, at_us, 740)) == Begin(0x20, at_us, 740)
    assert decode(frames.commit(0x20, 0x30, at_us)) == Commit(0x20, 0x30, at_us)


def test_times_before_2000_are_negative_on_the_wire():
    assert decode(frames.begin(1, 946_684_799_999_999)).commit_us == 946_684_799_999_999


def test_relation_is_remembered():
    decoder = Decoder()
    expected = Relation(
        16_384,
        "public",
        "orders",
        "d",
        (Column("id", 20, -1, True), Column("name", 25, -1, False), Column("at", 1184, 3, False)),
    )
    assert decoder.decode(frames.relation(16_384, "orders", COLUMNS)) == expected
    assert decoder.relations == {16_384: expected}


def test_relation_of_pg_catalog_has_an_empty_schema_on_the_wire():
    assert decode(frames.relation(1, "pg_class", COLUMNS, schema="")).schema == "pg_catalog"


def test_a_relation_described_again_replaces_the_first():
    decoder = Decoder()
    decoder.decode(frames.relation(1, "orders", COLUMNS))
    decoder.decode(frames.relation(1, "orders", COLUMNS[:2]))
    assert [column.name for column in decoder.relations[1].columns] == ["id", "name"]


def test_insert():
    frame = frames.insert(9, b"1", None, "한글".encode(), b"", lsn=0x77)
    assert decode(frame) == Insert(0x77, 9, [b"1", None, "한글".encode(), b""])


def test_update_with_and_without_old_row():
    head = b"U" + struct.pack(">I", 9)
    assert decode(frames.xlog(head + b"N" + frames.row(b"1", "u"))) == Update(0x100, 9, None, False, [b"1", UNCHANGED])
    by_key = frames.xlog(head + b"K" + frames.row(b"1", None) + b"N" + frames.row(b"2", b"x"))
    assert decode(by_key) == Update(0x100, 9, [b"1", None], False, [b"2", b"x"])
    whole = frames.xlog(head + b"O" + frames.row(b"1", b"w") + b"N" + frames.row(b"1", b"x"))
    assert decode(whole) == Update(0x100, 9, [b"1", b"w"], True, [b"1", b"x"])


def test_delete():
    head = b"D" + struct.pack(">I", 9)
    assert decode(frames.xlog(head + b"K" + frames.row(b"1", None))) == Delete(0x100, 9, [b"1", None], False)
    assert decode(frames.xlog(head + b"O" + frames.row(b"1", b"x"))) == Delete(0x100, 9, [b"1", b"x"], True)


def test_truncate_type_origin():
    assert decode(frames.xlog(b"T" + struct.pack(">IBII", 2, 1, 5, 6))) == Truncate(0x100, (5, 6))
    assert decode(frames.xlog(b"O" + struct.pack(">Q", 8) + frames.text("peer"))) == Origin(8, "peer")
    decoder = Decoder()
    mood = Type(70_000, "public", "mood")
    assert decoder.decode(frames.xlog(b"Y" + struct.pack(">I", 70_000) + b"public\0mood\0")) == mood
    assert decoder.types == {70_000: mood}


def test_logical_message():
    body = b"M\x01" + struct.pack(">Q", 0x99) + frames.text("bongsu.heartbeat") + struct.pack(">I", 2) + b"hi"
    assert decode(frames.xlog(body)) == LogicalMessage(0x99, True, "bongsu.heartbeat", b"hi")


WHOLE = [
    frames.keepalive(5),
    frames.begin(),
    frames.commit(1, 2),
    frames.relation(1, "orders", COLUMNS),
    frames.insert(1, b"12345", None, b"abc"),
    frames.xlog(b"U" + struct.pack(">I", 9) + b"K" + frames.row(b"1", None) + b"N" + frames.row(b"2", b"x")),
    frames.xlog(b"D" + struct.pack(">I", 9) + b"O" + frames.row(b"1", b"x")),
    frames.xlog(b"T" + struct.pack(">IBII", 2, 1, 5, 6)),
    frames.xlog(b"Y" + struct.pack(">I", 70_000) + b"public\0mood\0"),
    frames.xlog(b"M\x00" + struct.pack(">Q", 9) + frames.text("p") + struct.pack(">I", 2) + b"hi"),
]


@pytest.mark.parametrize("frame", WHOLE, ids=lambda frame: chr(frame[25]) if frame[0] == 0x77 else "k")
def test_every_truncation_and_every_surplus_byte_is_malformed(frame):
    decode(frame)
    for length in range(len(frame)):
        with pytest.raises(MalformedFrame):
            decode(frame[:length])
    with pytest.raises(MalformedFrame):
        decode(frame + b"\0")


@pytest.mark.parametrize(
    "frame",
    [
        b"z" + bytes(30),
        frames.xlog(b"S" + bytes(8)),  # streamed transactions belong to proto_version 2
        frames.xlog(b"I" + struct.pack(">I", 1) + b"K" + frames.row(b"1")),
        frames.insert(1, "b"),  # binary columns were not asked for
        frames.xlog(b"D" + struct.pack(">I", 1) + b"N" + frames.row(b"1")),
    ],
)
def test_what_the_protocol_does_not_say_is_malformed(frame):
    with pytest.raises(MalformedFrame):
        decode(frame)
