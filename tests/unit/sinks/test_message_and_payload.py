"""What is refused before anything is sent, and the bytes of a PostHog batch."""

import gzip
import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from sinks.outcomes import Refused
from sinks.ports import AnalyticsEvent, PushMessage, PushTarget
from sinks.posthog.payload import body_of, is_historical, serialise
from sinks.posthog.settings import PostHogSettings
from sinks.webpush.message import refusal, request_headers
from sinks.webpush.settings import WebPushSettings

UUID_1 = UUID("11111111-1111-4111-8111-111111111111")
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def event(**changed):
    fields = {"uuid": UUID_1, "event": "review.created", "distinct_id": "m1", "timestamp": NOW, "properties": {"a": 1}}
    return AnalyticsEvent(**(fields | changed))


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (PushMessage(b"", 60), "invalid_message"),
        (PushMessage(b"x" * 3053, 60), "payload_too_large"),
        (PushMessage(b"x", -1), "invalid_message"),
        (PushMessage(b"x", 2_592_001), "invalid_message"),
        (PushMessage(b"x", 60, "urgent"), "invalid_message"),
        (PushMessage(b"x", 60, "high", "t" * 33), "invalid_message"),
        (PushMessage(b"x", 60, "high", "a\r\nX: y"), "invalid_message"),
        (PushMessage(b"x", 60, "high", ""), "invalid_message"),
    ],
)
def test_messages_that_no_service_takes(message, code):
    assert refusal(message, 3052).error_code == code


def test_headers_of_a_push():
    message = PushMessage(b"x", 0, "very-low", UUID_1.hex)
    assert refusal(message, 3052) is None
    headers = request_headers(message, "vapid t=a, k=b")
    assert headers["TTL"] == "0"
    assert headers["Urgency"] == "very-low"
    assert headers["Topic"] == UUID_1.hex
    assert headers["Content-Encoding"] == "aes128gcm"
    assert "Topic" not in request_headers(PushMessage(b"x", 0), "a")


def test_settings_out_of_range():
    with pytest.raises(ValueError, match="3993"):
        WebPushSettings(payload_limit_bytes=3994)
    with pytest.raises(ValueError, match="timeout_s"):
        WebPushSettings(timeout_s=0)
    for changed in ({"host": "eu.i.posthog.com"}, {"api_key": " "}, {"timeout_s": 0}, {"host": "https://x/?a=b"}):
        with pytest.raises(ValueError, match="posthog"):
            PostHogSettings(**({"host": "https://eu.i.posthog.com", "api_key": "k"} | changed))
    assert PostHogSettings("https://x.example/", "k").batch_url == "https://x.example/batch/"
    assert "secret" not in repr(PostHogSettings("https://x.example", "secret"))


def test_nothing_secret_shows_in_a_target():
    shown = repr(PushTarget(7, "https://fcm.googleapis.com/capability", "public-key", "auth-secret", "k1"))
    assert "capability" not in shown
    assert "auth-secret" not in shown


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"event": ""}, "invalid_event"),
        ({"event": " "}, "invalid_event"),
        ({"event": "x" * 201}, "invalid_event"),
        ({"distinct_id": ""}, "invalid_event"),
        ({"distinct_id": "x" * 201}, "invalid_event"),
        ({"timestamp": datetime(2026, 1, 1)}, "invalid_event"),  # noqa: DTZ001
        ({"properties": {"a": object()}}, "unserialisable"),
        ({"properties": {"a": 2**80}}, "unserialisable"),
        ({"properties": {"a": "\ud800"}}, "unserialisable"),
        ({"properties": {1: "a"}}, "unserialisable"),
        ({"properties": {"a": "x" * 1_000_000}}, "payload_too_large"),
    ],
)
def test_events_that_posthog_would_drop(changed, code):
    refused = serialise(event(**changed), 1_000_000)
    assert isinstance(refused, Refused)
    assert refused.error_code == code


def test_a_batch_on_the_wire():
    seoul = NOW.astimezone(timezone(timedelta(hours=9)))
    texts = [serialise(event(timestamp=seoul), 1_000_000), serialise(event(), 1_000_000)]
    body = json.loads(gzip.decompress(body_of(texts, "phc", NOW, historical=True)))
    assert body["api_key"] == "phc"
    assert body["historical_migration"] is True
    assert body["sent_at"] == "2026-11-21T12:00:00Z"
    assert body["batch"][1] == {
        "event": "review.created",
        "distinct_id": "m1",
        "uuid": str(UUID_1),
        "timestamp": "2026-11-21T12:00:00Z",
        "properties": {"a": 1, "$ignore_sent_at": True},
    }
    assert datetime.fromisoformat(body["batch"][0]["timestamp"]) == NOW


def test_the_same_event_has_the_same_bytes_whenever_it_is_sent():
    assert serialise(event(), 1_000_000) == serialise(event(), 1_000_000)


def test_the_caller_keeps_its_properties():
    mine = event()
    serialise(mine, 1_000_000)
    assert mine.properties == {"a": 1}


def test_historical_only_when_every_event_is_older_than_48_hours():
    old, new = event(timestamp=NOW - timedelta(hours=49)), event()
    assert is_historical([old, old], NOW)
    assert not is_historical([old, new], NOW)
    assert not is_historical([event(timestamp=NOW - timedelta(hours=48))], NOW)
    assert not is_historical([], NOW)
