"""Every record becomes an event, a skip or a refusal; nothing else."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.avro import AvroCodec
from schemas.change import Skipped
from sinks.store_values import EventRow, SourceRefusal
from streams.roles.decoding import Rejected, decode_avro, decode_change, identity_of
from tests.unit.roles.role_records import ALLOWED, AVRO, change_value, outbox_row, record

EVENT_ID = "5a3c8f6e-7b1d-4f9a-8c2e-1d2b3a4c5e6f"


@pytest.fixture(scope="module")
def codec():
    return AvroCodec({"activity-event": 1})


def test_a_row_keeps_its_position_lsn_and_source_row():
    decoded = decode_change(record(change_value(outbox_row(42, EVENT_ID), lsn=77), 9, partition=3), ALLOWED)
    assert isinstance(decoded, EventRow)
    assert decoded.event.event_id == UUID(EVENT_ID)
    assert (decoded.partition, decoded.offset, decoded.lsn, decoded.source_id) == (3, 9, 77, 42)
    assert not decoded.reemitted


def test_a_row_read_again_by_the_sweeper_is_known_as_such():
    decoded = decode_change(record(change_value(outbox_row(), op="r", lsn=0)), ALLOWED)
    assert isinstance(decoded, EventRow)
    assert decoded.reemitted
    assert decoded.lsn is None


@pytest.mark.parametrize(
    ("value", "skipped"),
    [
        (None, Skipped.TOMBSTONE),
        (change_value(outbox_row(), op="u"), Skipped.UPDATE),
        (change_value(outbox_row(), op="d"), Skipped.DELETE),
        (change_value(None, op="t"), Skipped.TRUNCATE),
        (change_value(None, op="m"), Skipped.MESSAGE),
    ],
)
def test_what_is_no_inserted_fact_is_skipped(value, skipped):
    assert decode_change(record(value), ALLOWED) is skipped


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (outbox_row(42, EVENT_ID, payload="not json"), "not_json"),
        (outbox_row(42, EVENT_ID, payload="[1]"), "not_an_object"),
        (outbox_row(42, EVENT_ID, payload='{"a":"' + "x" * 2_000_000 + '"}'), "too_large"),
        (outbox_row(42, EVENT_ID, payload='{"a":' * 300 + "1" + "}" * 300), "too_deep"),
        (outbox_row(42, EVENT_ID, payload='{"a":"\\u0000"}'), "invalid_text"),
        (outbox_row(42, EVENT_ID, event_name="group.craeted"), "unknown_event_name"),
        (outbox_row(42, EVENT_ID, partition_key=None), "missing_field"),
    ],
)
def test_a_refused_row_names_its_event_and_its_source_row(row, reason):
    decoded = decode_change(record(change_value(row)), ALLOWED)
    assert isinstance(decoded, Rejected)
    assert decoded.refusal.reason == reason
    assert decoded.refusal.source_identity == EVENT_ID
    assert decoded.source is not None
    assert (decoded.source.source_id, decoded.source.event_id) == (42, EVENT_ID)
    assert decoded.source.error.startswith(reason)


def test_an_event_id_that_is_no_uuid_is_refused_with_what_stood_there():
    decoded = decode_change(record(change_value(outbox_row(7, "not-a-uuid"))), ALLOWED)
    assert isinstance(decoded, Rejected)
    assert decoded.refusal.reason == "invalid_field"
    assert decoded.source == SourceRefusal(7, "not-a-uuid", decoded.source.error)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\xff\xfe", "not_json"),
        (b"[]", "not_an_object"),
        (b'{"op":"x"}', "not_an_envelope"),
        (b'{"op":"c"}', "not_an_envelope"),
    ],
)
def test_what_is_no_change_event_has_no_source_row(value, reason):
    decoded = decode_change(record(value), ALLOWED)
    assert isinstance(decoded, Rejected)
    assert (decoded.refusal.reason, decoded.refusal.source_identity, decoded.source) == (reason, None, None)


def avro_fields(**fields):
    return {
        "event_id": EVENT_ID,
        "event_name": "group.created",
        "event_version": 1,
        "partition_key": "member:1",
        "member_id": 1,
        "anonymous_id": None,
        "session_id": "s-1",
        "platform": "web",
        "request_id": None,
        "trace_id": None,
        "occurred_at": datetime(2026, 11, 21, 8, 0, 0, 123456, tzinfo=UTC),
        "properties": '{"name":"Ramen","groupId":7}',
        **fields,
    }


def test_both_ways_in_give_one_event(codec):
    value = codec.encode("activity-event", avro_fields())
    by_avro = decode_avro(record(value, topic=AVRO), codec, ALLOWED)
    by_row = decode_change(record(change_value(outbox_row(1, EVENT_ID))), ALLOWED)
    assert isinstance(by_avro, EventRow)
    assert isinstance(by_row, EventRow)
    assert (by_avro.event.event_id, by_avro.event.body_hash) == (by_row.event.event_id, by_row.event.body_hash)
    assert (by_avro.lsn, by_avro.source_id) == (None, None)


def test_bad_avro_is_refused_with_its_reason(codec):
    good = codec.encode("activity-event", avro_fields())
    reasons = {
        None: "null_value",
        b"{}": "not_avro",
        b"\x01" + good[1:]: "not_avro",
        b"\x00\x00\x00\x00\x63" + good[5:]: "unknown_schema_id",
        good[:-9]: "truncated",
        codec.encode("activity-event", avro_fields(event_name="nobody.knows")): "unknown_event_name",
    }
    for value, reason in reasons.items():
        decoded = decode_avro(record(value, topic=AVRO), codec, ALLOWED)
        assert isinstance(decoded, Rejected), reason
        assert decoded.refusal.reason == reason
        assert decoded.source is None


def test_a_refused_avro_event_names_its_event_where_it_could_be_read(codec):
    decoded = decode_avro(
        record(codec.encode("activity-event", avro_fields(properties="[]")), topic=AVRO), codec, ALLOWED
    )
    assert isinstance(decoded, Rejected)
    assert decoded.refusal.source_identity == EVENT_ID


@given(st.binary(max_size=200) | st.none())
def test_any_bytes_have_an_answer(value):
    for decoded in (
        decode_change(record(value), ALLOWED),
        decode_avro(record(value, topic=AVRO), AvroCodec({"activity-event": 1}), ALLOWED),
    ):
        assert isinstance(decoded, EventRow | Rejected | Skipped)


def test_the_identity_falls_back_to_the_row():
    assert identity_of({"event_id": EVENT_ID, "id": 3}, "outbox") == EVENT_ID
    assert identity_of({"event_id": None, "id": 3}, "outbox") == "outbox#3"
    assert identity_of({"event_id": None, "id": "3"}, "outbox") is None
    assert identity_of({}, None) is None
