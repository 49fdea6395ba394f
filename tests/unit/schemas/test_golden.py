"""Every golden example through the code that reads it."""

import json
from datetime import datetime
from pathlib import Path

import orjson
import pytest

from schemas.activity import event_from_avro, event_from_outbox_row
from schemas.alert import Alert
from schemas.avro import AvroCodec
from schemas.change import Change, Skipped, parse_change
from schemas.dead_letter import DeadLetter
from schemas.errors import SchemaError
from schemas.event_names import allow_list
from schemas.progress import decode_progress, encode_progress

EXAMPLES = Path(__file__).parents[3] / "schemas" / "examples"
IDS = {"activity-event": 1, "alert": 2, "dead-letter": 3}


def examples(folder):
    found = sorted((EXAMPLES / folder).glob("*.json"))
    assert found, f"no golden examples in {folder}"
    return [pytest.param(json.loads(path.read_text(encoding="utf-8")), id=path.stem) for path in found]


@pytest.fixture(scope="module")
def codec():
    return AvroCodec(IDS)


def as_avro(record):
    return {**record, "occurred_at": datetime.fromisoformat(record["occurred_at"])}


@pytest.mark.parametrize("record", examples("activity-event/valid"))
def test_a_valid_event_is_the_same_by_both_ways(codec, record):
    avro = as_avro(record)
    way_one = event_from_avro(codec.decode("activity-event", codec.encode("activity-event", avro)), allow_list())
    way_two = event_from_outbox_row({**record, "payload": record["properties"]}, allow_list())
    assert way_one == way_two
    assert str(way_one.event_id) == record["event_id"]
    assert json.loads(way_one.properties) == json.loads(record["properties"])


@pytest.mark.parametrize("example", examples("activity-event/invalid"))
def test_an_invalid_event_is_refused_for_its_reason(example):
    record = example["record"]
    with pytest.raises(SchemaError) as refused:
        event_from_outbox_row({**record, "payload": record["properties"]}, allow_list())
    assert refused.value.reason == example["reason"]


@pytest.mark.parametrize("example", examples("activity-event/wire"))
def test_bytes_that_are_no_event_are_refused_for_their_reason(codec, example):
    value = None if example["bytes_hex"] is None else bytes.fromhex(example["bytes_hex"])
    with pytest.raises(SchemaError) as refused:
        codec.decode("activity-event", value)
    assert refused.value.reason == example["reason"]


@pytest.mark.parametrize("envelope", examples("cdc/valid"))
def test_a_valid_change_is_read(envelope):
    change = parse_change(orjson.dumps(envelope))
    assert isinstance(change, Change)
    inner = envelope.get("payload", envelope)
    assert change.row == inner["after"]
    assert change.commit_ms == inner["source"]["ts_ms"]
    assert change.op == inner["op"]


@pytest.mark.parametrize("example", examples("cdc/skipped"))
def test_what_is_no_insert_is_skipped(example):
    assert parse_change(orjson.dumps(example["record"])) == Skipped(example["skipped"])


def test_a_null_value_is_a_tombstone():
    assert parse_change(None) is Skipped.TOMBSTONE


@pytest.mark.parametrize("example", examples("cdc/invalid"))
def test_an_invalid_change_is_refused_for_its_reason(example):
    with pytest.raises(SchemaError) as refused:
        parse_change(orjson.dumps(example["record"]))
    assert refused.value.reason == example["reason"]


def test_bytes_that_are_no_json_are_no_change():
    with pytest.raises(SchemaError) as refused:
        parse_change(b"\x00\x01")
    assert refused.value.reason == "not_json"


@pytest.mark.parametrize("record", examples("progress/valid"))
def test_progress_survives_its_wire_form(record):
    progress = decode_progress(orjson.dumps(record))
    assert decode_progress(encode_progress(progress)) == progress
    assert {topic: list(ends) for topic, ends in progress.end_offsets.items()} == record["end_offsets"]


@pytest.mark.parametrize("example", examples("progress/invalid"))
def test_invalid_progress_is_refused_for_its_reason(example):
    with pytest.raises(SchemaError) as refused:
        decode_progress(orjson.dumps(example["record"]))
    assert refused.value.reason == example["reason"]


@pytest.mark.parametrize("record", examples("alert/valid"))
def test_an_alert_survives_its_wire_form(codec, record):
    decoded = codec.decode("alert", codec.encode("alert", record))
    assert decoded == record
    assert Alert.from_avro(decoded).to_avro() == record


@pytest.mark.parametrize("name", ["alert", "dead-letter"])
def test_records_of_the_wrong_form_are_not_written(codec, name):
    for param in examples(f"{name}/invalid"):
        with pytest.raises((ValueError, TypeError, KeyError)):
            codec.encode(
                name,
                _with_bytes(param.values[0]["record"]) if name == "dead-letter" else param.values[0]["record"],
            )


@pytest.mark.parametrize("record", examples("dead-letter/valid"))
def test_a_dead_letter_survives_its_wire_form(codec, record):
    record = _with_bytes(record)
    decoded = codec.decode("dead-letter", codec.encode("dead-letter", record))
    assert decoded == record
    assert DeadLetter.from_avro(decoded).to_avro() == record


def _with_bytes(record):
    def raw(text):
        return None if text is None else text.encode()

    headers = [{"name": header["name"], "value": raw(header["value"])} for header in record["headers"]]
    return {**record, "key": raw(record["key"]), "value": raw(record["value"]), "headers": headers}
