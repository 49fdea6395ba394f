"""What every EventSink does: run on the in-memory sink and on the PostHog client against the receiver."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from sinks.outcomes import Delivered, Refused, RetryAfter
from sinks.ports import AnalyticsEvent


def events(count):
    now = datetime.now(UTC)
    return [AnalyticsEvent(uuid4(), "review.created", f"m{n}", now, {"n": n}) for n in range(count)]


def ids(batch):
    return sorted(str(event.uuid) for event in batch)


async def test_a_batch_arrives_whole_under_its_own_uuids(event_world):
    batch = events(50)
    outcome = await event_world.sink.send_batch(batch)
    assert all(isinstance(found, Delivered) for found in outcome.per_event)
    assert len(outcome.per_event) == 50
    assert (outcome.http_status, outcome.error_code, outcome.error_message, outcome.requests) == (200, None, None, 1)
    assert event_world.delivered() == ids(batch)


async def test_an_empty_batch_asks_nobody(event_world):
    outcome = await event_world.sink.send_batch([])
    assert (outcome.per_event, outcome.requests, outcome.error_code) == ([], 0, None)


@pytest.mark.parametrize("mode", ["429", "503"])
async def test_a_refused_batch_is_to_be_retried_as_told(event_world, mode):
    event_world.tell(mode, retry_after=30)
    outcome = await event_world.sink.send_batch(events(3))
    assert [found.seconds for found in outcome.per_event if isinstance(found, RetryAfter)] == [30.0] * 3
    assert outcome.http_status == int(mode)
    assert event_world.delivered() == []


async def test_a_200_over_quota_is_no_delivery(event_world):
    event_world.tell("quota_limited")
    outcome = await event_world.sink.send_batch(events(2))
    assert all(isinstance(found, RetryAfter) for found in outcome.per_event)
    assert (outcome.http_status, outcome.error_code) == (200, "quota_limited")


async def test_no_answer_is_a_timeout(event_world):
    event_world.tell("hang")
    outcome = await event_world.sink.send_batch(events(2))
    assert [found.error_code for found in outcome.per_event] == ["timeout", "timeout"]


async def test_events_that_cannot_be_kept_are_refused_and_the_rest_goes(event_world):
    batch = events(5)
    bad = [
        replace(batch[0], event=""),
        replace(batch[1], distinct_id=""),
        replace(batch[2], properties={"a": "x" * 1_000_001}),
        replace(batch[3], properties={"a": object()}),
    ]
    outcome = await event_world.sink.send_batch([*bad, batch[4]])
    codes = [found.error_code for found in outcome.per_event if isinstance(found, Refused)]
    assert codes == ["invalid_event", "invalid_event", "payload_too_large", "unserialisable"]
    assert isinstance(outcome.per_event[4], Delivered)
    assert outcome.error_code == "invalid_event"
    assert event_world.delivered() == ids(batch[4:])


async def test_only_bad_events_ask_nobody(event_world):
    outcome = await event_world.sink.send_batch([replace(events(1)[0], event="")])
    assert outcome.requests == 0
    assert isinstance(outcome.per_event[0], Refused)


async def test_an_event_too_large_even_alone_is_refused(event_world):
    event_world.tell("413_over", limit=0)
    outcome = await event_world.sink.send_batch(events(4))
    assert [found.error_code for found in outcome.per_event if isinstance(found, Refused)] == ["payload_too_large"] * 4
    assert event_world.delivered() == []
