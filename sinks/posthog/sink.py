"""The PostHog sink: validate, serialise, post, and say for each event what came of it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp

from sinks.outcomes import Outcome, Refused, RetryAfter, Unauthorised
from sinks.ports import AnalyticsEvent, BatchOutcome
from sinks.posthog.answers import Answer, Split, classify
from sinks.posthog.payload import body_of, is_historical, serialise
from sinks.posthog.settings import PostHogSettings

_HEADERS = {"Content-Type": "application/json", "Content-Encoding": "gzip", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class _Item:
    """One serialised event and its place in the batch."""

    index: int
    event: AnalyticsEvent
    text: bytes


@dataclass(slots=True)
class _Run:
    """What one `send_batch` has come to so far."""

    outcomes: dict[int, Outcome] = field(default_factory=dict)
    requests: int = 0
    splits_left: int = 0

    def settle(self, items: Sequence[_Item], outcome: Outcome) -> None:
        """The same outcome for each of the items."""
        for item in items:
            self.outcomes[item.index] = outcome


class PostHogSink:
    """`EventSink` for PostHog's `/batch/`. The session is shared and stays the caller's to close."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        settings: PostHogSettings,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._settings = settings
        self._now = now
        self._clock = clock
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout_s)

    async def send_batch(self, events: Sequence[AnalyticsEvent]) -> BatchOutcome:
        """Send the events in as few requests as they fit into; each request waits at most `timeout_s`.

        After an answer that speaks for the whole sink (throttled, unreachable, wrong token) the rest of the
        batch gets that outcome unsent.
        """
        started = self._clock()
        run = _Run(splits_left=self._settings.bad_request_splits)
        pending = [self._validated(events, run)]
        while pending:
            items = pending.pop()
            if not items:
                continue
            if len(items) > 1 and sum(len(item.text) for item in items) > self._settings.request_limit_bytes:
                pending.extend(_halves(items))
                continue
            verdict = await self._post(items, run)
            if isinstance(verdict, Split):
                pending.extend(self._split(items, verdict, run))
                continue
            run.settle(items, verdict)
            if isinstance(verdict, RetryAfter | Unauthorised):
                for rest in pending:
                    run.settle(rest, verdict)
                break
        return self._summary(events, run, started)

    def _validated(self, events: Sequence[AnalyticsEvent], run: _Run) -> list[_Item]:
        items: list[_Item] = []
        for index, event in enumerate(events):
            text = serialise(event, self._settings.event_limit_bytes)
            if isinstance(text, Refused):
                run.outcomes[index] = text
            else:
                items.append(_Item(index, event, text))
        return items

    def _split(self, items: list[_Item], verdict: Split, run: _Run) -> list[list[_Item]]:
        """Halves to send instead, first half last (it is popped first); single events are settled."""
        status = 413 if verdict is Split.TOO_LARGE else 400
        if len(items) == 1:
            run.settle(items, Refused(verdict.value, status))
            return []
        if verdict is Split.BAD_REQUEST:
            if run.splits_left <= 0:
                run.settle(items, RetryAfter(None, status, verdict.value, "some event of this batch is refused"))
                return []
            run.splits_left -= 2
        return _halves(items)

    async def _post(self, items: Sequence[_Item], run: _Run) -> Outcome | Split:
        now = self._now()
        historical = is_historical([item.event for item in items], now)
        body = body_of([item.text for item in items], self._settings.api_key, now, historical=historical)
        run.requests += 1
        try:
            async with self._session.post(
                self._settings.batch_url, data=body, headers=_HEADERS, allow_redirects=False, timeout=self._timeout
            ) as response:
                fields = {name.lower(): value for name, value in response.headers.items()}
                answer = Answer(response.status, fields, await self._read_answer(response))
        except TimeoutError:
            return RetryAfter(None, None, "timeout", f"no answer in {self._settings.timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return RetryAfter(None, None, "connection_failed", type(error).__name__)
        return classify(answer, now.timestamp())

    async def _read_answer(self, response: aiohttp.ClientResponse) -> bytes:
        limit = self._settings.answer_limit_bytes
        body = b""
        while len(body) < limit:
            part = await response.content.read(limit - len(body))
            if not part:
                return body
            body += part
        if not response.content.at_eof():
            response.close()
        return body

    def _summary(self, events: Sequence[AnalyticsEvent], run: _Run, started: float) -> BatchOutcome:
        per_event = [run.outcomes[index] for index in range(len(events))]
        duration_ms = round((self._clock() - started) * 1000)
        bad = next((found for found in per_event if isinstance(found, RetryAfter | Refused | Unauthorised)), None)
        if bad is None:
            status = per_event[0].http_status if per_event else None
            return BatchOutcome(per_event, status, None, None, duration_ms, run.requests)
        message = bad.detail or bad.error_code
        return BatchOutcome(per_event, bad.http_status, bad.error_code, message, duration_ms, run.requests)


def _halves(items: list[_Item]) -> list[list[_Item]]:
    middle = len(items) // 2
    return [items[middle:], items[:middle]]
