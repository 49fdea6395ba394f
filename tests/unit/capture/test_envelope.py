"""Envelopes field by field as Debezium 3.3.1 writes them, and what keys, old rows and re-reads become."""

import json

import pytest

from capture.envelope import Event, Origin, Stamp, TableEncoder, raw_row
from capture.errors import KeyColumnsMissing, UndecodableValue
from capture.pgoutput import UNCHANGED, Column, Relation
from schemas.change import Skipped, parse_change

OUTBOX = (
    ("id", 20), ("event_id", 2950), ("event_name", 25), ("payload", 25), ("status", 25), ("retry_count", 23),
    ("next_retry_at", 1184), ("last_error", 25), ("occurred_at", 1184),
)  # fmt: skip
ROW = [
    b"1", b"7432d06d-88f7-406f-bbea-890b03921dfc", b"group.created", b'{"x": 1}', b"PENDING", b"0", None, None,
    b"2026-11-21 06:30:06.996694+00",
]  # fmt: skip
OBSERVED = (
    '{"before":null,'
    '"after":{"id":1,"event_id":"7432d06d-88f7-406f-bbea-890b03921dfc","event_name":"group.created",'
    '"payload":"{\\"x\\": 1}","status":"PENDING","retry_count":0,"next_retry_at":null,"last_error":null,'
    '"occurred_at":"2026-11-21T06:30:06.996694Z"},'
    '"source":{"version":"3.3.1.Final","connector":"postgresql","name":"dbz","ts_ms":1795242606997,'
    '"snapshot":"false","db":"postgres","sequence":"[\\"22529576\\",\\"22529680\\"]","ts_us":1795242606997180,'
    '"ts_ns":1795242606997180000,"schema":"public","table":"user_activity_source_outbox","txId":740,'
    '"lsn":22529680,"xmin":null},'
    '"transaction":null,'
    '"op":"c",'
    '"ts_ms":1795242607127,"ts_us":1795242607127427,"ts_ns":1795242607127427180}'
)
"""debezium-contract.md §4, the columns it left out left out here too."""

ORIGIN = Origin("3.3.1.Final", "dbz", "postgres")
STAMP = Stamp(1795242606997180, 22529576, 740)
NOW_NS = 1795242607127427180


def table(columns=OUTBOX, keys=None, name="user_activity_source_outbox", identity="d"):
    described = tuple(Column(column, oid, -1, column == "id") for column, oid in columns)
    return TableEncoder(Relation(1, "public", name, identity, described), ORIGIN, keys)


def payload(event):
    return json.loads(event.value)


def test_an_insert_equals_the_observed_record_byte_for_byte():
    event = table().insert(ROW, STAMP, 22529680, NOW_NS)
    assert event == Event(b'{"id":1}', OBSERVED.encode())


def test_topic_is_prefix_schema_table():
    assert table().topic == "dbz.public.user_activity_source_outbox"


def test_our_own_reader_understands_it():
    change = parse_change(table().insert(ROW, STAMP, 22529680, NOW_NS).value)
    assert (change.op, change.table, change.lsn, change.tx_id) == ("c", "user_activity_source_outbox", 22529680, 740)
    assert change.previous_commit_lsn == 22529576
    assert change.row["payload"] == '{"x": 1}'


def test_key_columns_in_the_order_they_are_named():
    event = table(keys=("event_name", "id")).insert(ROW, STAMP, 1, NOW_NS)
    assert event.key == b'{"event_name":"group.created","id":1}'


def test_a_table_without_identity_has_a_null_key():
    assert table(keys=()).insert(ROW, STAMP, 1, NOW_NS).key is None


def test_a_missing_key_column_is_named():
    with pytest.raises(KeyColumnsMissing, match="partition_key"):
        table(keys=("partition_key",))


def test_a_row_read_again_has_no_position_of_its_own_but_a_sequence():
    event = table().read(ROW, Stamp(NOW_NS // 1000, 500, None, "incremental"), NOW_NS)
    source = payload(event)["source"]
    assert payload(event)["op"] == "r"
    assert source["snapshot"] == "incremental"
    assert source["sequence"] == '["500","500"]'
    assert (source["lsn"], source["txId"], source["xmin"]) == (None, None, None)
    assert parse_change(event.value).previous_commit_lsn == 500


def test_delete_is_an_event_and_a_tombstone():
    old = [b"1", *[None] * 8]
    deleted, tombstone = table().delete(old, STAMP, 9, NOW_NS)
    assert payload(deleted)["op"] == "d"
    assert payload(deleted)["after"] is None
    assert payload(deleted)["before"]["id"] == 1
    assert payload(deleted)["before"]["payload"] is None
    assert tombstone == Event(b'{"id":1}', None)
    assert parse_change(deleted.value) is Skipped.DELETE


def test_update_shows_the_old_row_only_where_the_server_sent_it_whole():
    changed = [*ROW[:4], b"PUBLISHED", *ROW[5:]]
    (plain,) = table().update(None, changed, STAMP, 9, NOW_NS, old_whole=False)
    assert (payload(plain)["op"], payload(plain)["before"]) == ("u", None)
    (whole,) = table().update(ROW, changed, STAMP, 9, NOW_NS, old_whole=True)
    assert payload(whole)["before"]["status"] == "PENDING"
    assert payload(whole)["after"]["status"] == "PUBLISHED"


def test_a_changed_key_is_delete_tombstone_create():
    moved = [b"2", *ROW[1:]]
    events = table().update([b"1", *[None] * 8], moved, STAMP, 9, NOW_NS, old_whole=False)
    assert [event.key for event in events] == [b'{"id":1}', b'{"id":1}', b'{"id":2}']
    assert [payload(event)["op"] if event.value else None for event in events] == ["d", None, "c"]


def test_an_unsent_value_becomes_the_placeholder():
    (event,) = table().update(None, [*ROW[:3], UNCHANGED, *ROW[4:]], STAMP, 9, NOW_NS, old_whole=False)
    assert payload(event)["after"]["payload"] == "__debezium_unavailable_value"


def test_an_undecodable_value_names_its_column():
    with pytest.raises(UndecodableValue, match="occurred_at"):
        table().insert([*ROW[:8], b"yesterday"], STAMP, 1, NOW_NS)


def test_a_row_of_another_width_is_refused():
    with pytest.raises(UndecodableValue, match="8 columns where 9"):
        table().insert(ROW[:8], STAMP, 1, NOW_NS)


def test_percent_signs_and_quotes_in_names_stay_what_they_are():
    odd = table((("id", 20), ('a%s"b', 25)), name="100%").insert([b"1", b"%d"], STAMP, 1, NOW_NS)
    assert payload(odd)["after"] == {"id": 1, 'a%s"b': "%d"}
    assert payload(odd)["source"]["table"] == "100%"


def test_people_see_the_identity_and_the_raw_row():
    encoder = table(keys=("event_name",))
    assert encoder.key_text(ROW) == "user_activity_source_outbox#1"
    assert encoder.column(ROW, "event_name") == "group.created"
    assert encoder.column(ROW, "no_such") is None
    assert json.loads(raw_row(encoder.relation, [b"\xff", *ROW[1:]]))["id"] == "\ufffd"
