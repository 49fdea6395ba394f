"""Sinks that deliver to a list: for tests and dry runs. They refuse what the real ones refuse, by the same rules.

One contract suite (tests/contract/sinks) runs on these and on the real clients.
"""

from collections.abc import Sequence

from sinks.outcomes import Delivered, Outcome, Refused, RetryAfter, Unauthorised
from sinks.ports import AnalyticsEvent, BatchOutcome, PushMessage, PushTarget
from sinks.posthog.payload import serialise
from sinks.webpush.encryption import DEFAULT_PAYLOAD_LIMIT, BadSubscriptionKeys, encrypt
from sinks.webpush.endpoints import BadEndpoint, check_endpoint
from sinks.webpush.message import refusal


class MemoryPushSender:
    """`PushSender` that keeps what was delivered in `delivered`, as (target, message)."""

    def __init__(
        self,
        *,
        payload_limit_bytes: int = DEFAULT_PAYLOAD_LIMIT,
        extra_hosts: tuple[str, ...] = (),
        allow_private: bool = False,
    ) -> None:
        self.delivered: list[tuple[PushTarget, PushMessage]] = []
        self._payload_limit_bytes = payload_limit_bytes
        self._extra_hosts = extra_hosts
        self._allow_private = allow_private
        self._default: Outcome = Delivered(201)
        self._by_subscription: dict[int, Outcome] = {}

    def answer(self, outcome: Outcome, subscription_id: int | None = None) -> None:
        """From now on answer with this outcome, to all subscriptions or to one."""
        if subscription_id is None:
            self._default = outcome
            self._by_subscription.clear()
        else:
            self._by_subscription[subscription_id] = outcome

    async def send(self, subscription: PushTarget, message: PushMessage) -> Outcome:
        """Deliver to the list, or answer as told."""
        endpoint = check_endpoint(
            subscription.endpoint, extra_hosts=self._extra_hosts, allow_private=self._allow_private
        )
        if isinstance(endpoint, BadEndpoint):
            return Refused("endpoint_refused", None, endpoint.reason)
        refused = refusal(message, self._payload_limit_bytes)
        if refused is not None:
            return refused
        try:
            encrypt(subscription, message.payload)
        except BadSubscriptionKeys as error:
            return Refused("bad_subscription_keys", None, str(error))
        outcome = self._by_subscription.get(subscription.subscription_id, self._default)
        if isinstance(outcome, Delivered):
            self.delivered.append((subscription, message))
        return outcome


class MemoryEventSink:
    """`EventSink` that keeps what was delivered in `delivered`; `largest_batch` 0 means no event fits."""

    def __init__(self, *, event_limit_bytes: int = 1_000_000) -> None:
        self.delivered: list[AnalyticsEvent] = []
        self.largest_batch: int | None = None
        self._event_limit_bytes = event_limit_bytes
        self._answer: Outcome = Delivered(200)

    def answer(self, outcome: Outcome) -> None:
        """From now on every event that is not refused beforehand gets this outcome."""
        self._answer = outcome

    async def send_batch(self, events: Sequence[AnalyticsEvent]) -> BatchOutcome:
        """Deliver to the list, or answer as told."""
        per_event = [self._judge(event) for event in events]
        self.delivered.extend(
            event for event, outcome in zip(events, per_event, strict=True) if isinstance(outcome, Delivered)
        )
        sendable = sum(not (isinstance(o, Refused) and o.http_status is None) for o in per_event)
        bad = next((o for o in per_event if isinstance(o, RetryAfter | Refused | Unauthorised)), None)
        code = None if bad is None else bad.error_code
        status = None if not per_event else (bad or per_event[0]).http_status
        return BatchOutcome(per_event, status, code, None if bad is None else bad.detail or code, 0, min(1, sendable))

    def _judge(self, event: AnalyticsEvent) -> Outcome:
        text = serialise(event, self._event_limit_bytes)
        if isinstance(text, Refused):
            return text
        if self.largest_batch == 0:
            return Refused("payload_too_large", 413)
        return self._answer
