"""The two doors through which the roles see sinks, and the values that pass through them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sinks.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class PushTarget:
    """One browser subscription. The endpoint is a capability URL (RFC 8030 §8.3): it never shows in a repr."""

    subscription_id: int
    endpoint: str = field(repr=False)
    p256dh: str = field(repr=False)
    auth: str = field(repr=False)
    vapid_key_id: str | None = None


@dataclass(frozen=True, slots=True)
class PushMessage:
    """One message: plaintext bytes, TTL in seconds, urgency (very-low|low|normal|high), collapse topic.

    `topic` is at most 32 characters of base64url; a job's or event's id as hex fits exactly and makes a retry
    replace the undelivered first copy.
    """

    payload: bytes
    ttl_s: int
    urgency: str = "normal"
    topic: str | None = None


@dataclass(frozen=True, slots=True)
class AnalyticsEvent:
    """One analytics event. uuid, timestamp, name and distinct_id must be the same on every retry."""

    uuid: UUID
    event: str
    distinct_id: str
    timestamp: datetime
    properties: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What came of one `send_batch`: an outcome per event in the given order.

    Status, code and text are those of the first event that was not delivered, or of the delivery. `requests`
    counts HTTP requests made (splitting makes several); `duration_ms` is wall time over all of them.
    """

    per_event: list[Outcome]
    http_status: int | None
    error_code: str | None
    error_message: str | None
    duration_ms: int
    requests: int


class PushSender(Protocol):
    """Sends one message to one subscription; never raises for anything the destination did."""

    async def send(self, subscription: PushTarget, message: PushMessage) -> Outcome:
        """Deliver, or say why not."""
        ...


class EventSink(Protocol):
    """Sends a batch of analytics events; never raises for anything the destination did."""

    async def send_batch(self, events: Sequence[AnalyticsEvent]) -> BatchOutcome:
        """Deliver, or say for each event why not."""
        ...
