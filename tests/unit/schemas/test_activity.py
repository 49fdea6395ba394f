"""The laws of an activity event that single examples do not show."""

import json
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.activity import MAX_PROPERTIES_BYTES, checked_properties, event_from_outbox_row
from schemas.errors import Reason, SchemaError
from schemas.event_names import EventNames, allow_list, shipped_event_names

ROW = {
    "event_id": "7432d06d-88f7-406f-bbea-890b03921dfc",
    "event_name": "group.created",
    "event_version": 1,
    "partition_key": "member-17",
    "occurred_at": "2026-11-21T06:30:06.996694Z",
    "payload": '{"b": 1, "a": [1, 2]}',
}
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)


def test_the_hash_covers_everything_but_the_identity():
    event = event_from_outbox_row(ROW, allow_list())
    assert event_from_outbox_row({**ROW, "event_id": str(uuid4())}, allow_list()).body_hash == event.body_hash
    for key, value in {
        "event_name": "group.joined",
        "event_version": 2,
        "partition_key": "member-18",
        "occurred_at": "2026-11-21T06:30:06.996695Z",
        "payload": '{"b": 2, "a": [1, 2]}',
        "member_id": 4,
        "session_id": "s",
        "trace_id": "t",
    }.items():
        assert event_from_outbox_row({**ROW, key: value}, allow_list()).body_hash != event.body_hash, key


def test_the_same_moment_in_another_zone_is_the_same_event():
    korean = {**ROW, "occurred_at": "2026-11-21T15:30:06.996694+09:00"}
    assert event_from_outbox_row(korean, allow_list()) == event_from_outbox_row(ROW, allow_list())
    assert event_from_outbox_row(korean, allow_list()).occurred_at == datetime(
        2026, 11, 21, 6, 30, 6, 996694, tzinfo=UTC
    )


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(text, json_values, max_size=4))
def test_spelling_changes_the_text_and_not_the_hash(properties):
    compact = json.dumps(properties, separators=(",", ":"), ensure_ascii=False)
    spread = json.dumps(properties, indent=3, ensure_ascii=True)
    one = event_from_outbox_row({**ROW, "payload": compact}, allow_list())
    two = event_from_outbox_row({**ROW, "payload": spread}, allow_list())
    assert (one.properties, two.properties) == (compact, spread)
    assert one.body_hash == two.body_hash


def test_properties_of_two_megabytes_are_too_large():
    with pytest.raises(SchemaError) as refused:
        checked_properties(json.dumps({"x": "y" * 2_000_000}))
    assert refused.value.reason is Reason.TOO_LARGE
    assert str(MAX_PROPERTIES_BYTES) in refused.value.detail


def test_nesting_beyond_the_parser_is_too_deep():
    with pytest.raises(SchemaError) as refused:
        checked_properties('{"a":' * 5000 + "1" + "}" * 5000)
    assert refused.value.reason is Reason.TOO_DEEP


def test_an_integer_beyond_64_bits_keeps_its_digits():
    spelled = '{"n": 123456789012345678901234567890}'
    assert checked_properties(spelled)[0] == spelled


@pytest.mark.parametrize(
    ("spelled", "accepted"),
    [
        (r'{"a": "\u0000"}', False),
        (r'{"a": "\\u0000"}', True),
        (r'{"a": "\\\u0000"}', False),
        (r'{"a\u0000": 1}', False),
    ],
)
def test_a_nul_is_told_from_a_backslash_before_u0000(spelled, accepted):
    if accepted:
        assert checked_properties(spelled)[0] == spelled
    else:
        with pytest.raises(SchemaError) as refused:
            checked_properties(spelled)
        assert refused.value.reason is Reason.INVALID_TEXT


def test_the_allow_list_is_the_shipped_one_and_a_deployments_own():
    assert "group.created" in shipped_event_names()
    assert "shop.opened" not in allow_list()
    assert "shop.opened" in allow_list(["shop.opened"])
    assert "anything" in allow_list(["*"])
    assert "anything" not in EventNames(frozenset())


def test_event_ids_are_uuids():
    assert event_from_outbox_row(ROW, allow_list()).event_id == UUID(ROW["event_id"])
    with pytest.raises(SchemaError):
        event_from_outbox_row({**ROW, "event_id": None}, allow_list())
