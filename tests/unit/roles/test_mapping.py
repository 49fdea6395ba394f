"""A stored event as PostHog takes it."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from streams.roles.mapping import UnmappableEvent, analytics_event
from tests.unit.roles.role_records import dispatch_row


def test_the_four_parts_of_posthogs_dedup_key_come_from_the_stored_event():
    event_id, occurred_at = uuid4(), datetime(2026, 11, 20, 23, 59, tzinfo=UTC)
    mapped = analytics_event(dispatch_row(event_id=event_id, occurred_at=occurred_at))
    assert (mapped.uuid, mapped.event, mapped.distinct_id, mapped.timestamp) == (
        event_id,
        "group.created",
        "1",
        occurred_at,
    )


@pytest.mark.parametrize(
    ("columns", "distinct_id"),
    [
        ({"member_id": 0}, "0"),
        ({"member_id": None}, "a-1"),
        ({"member_id": None, "anonymous_id": None}, "member:1"),
        ({"member_id": None, "anonymous_id": ""}, "member:1"),
    ],
)
def test_an_event_without_a_member_counts_for_its_visitor_or_its_key(columns, distinct_id):
    assert analytics_event(dispatch_row(**columns)).distinct_id == distinct_id


def test_context_travels_among_the_properties_but_never_over_the_producers_own():
    row = dispatch_row(properties='{"platform": "kiosk", "groupId": 7}', session_id="s-9")
    assert analytics_event(row).properties == {
        "platform": "kiosk",
        "groupId": 7,
        "session_id": "s-9",
        "event_version": 1,
    }


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"event_name": None, "properties": None, "occurred_at": None}, "not in the store"),
        ({"properties": "{"}, "not JSON"),
        ({"properties": "[1]"}, "JSON list"),
        ({"member_id": None, "anonymous_id": None, "partition_key": None}, "neither member"),
    ],
)
def test_what_cannot_be_mapped_says_why(columns, says):
    with pytest.raises(UnmappableEvent, match=says):
        analytics_event(dispatch_row(**columns))
