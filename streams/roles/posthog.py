"""The posthog role: claims rows of the dispatch outbox, sends them in batches, writes DISPATCHED only on proof.

Records of `cdc.public.user_activity_dispatch_outbox` wake it; what is due stands in the table.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import structlog

from schemas.runbook_messages import DISPATCH_FAILED, DISPATCH_PAYLOAD_UNREADABLE
from sinks.breaker import Admitted, Rejected
from sinks.outcomes import Outcome, Unauthorised
from sinks.ports import AnalyticsEvent, BatchOutcome, EventSink
from sinks.store_errors import StoreUnavailable
from sinks.store_values import DispatchAttempt, DispatchFailure, DispatchRow
from streams import metrics
from streams.engine.batch import RecordBatch
from streams.engine.outcomes import Handled
from streams.metrics import POSTHOG
from streams.roles.claim_loop import ClaimLoop, Hold, Idle, More, Next, Pace
from streams.roles.dispatch_decisions import UNAUTHORISED_PAUSE_S, DelayS, Verdicts, health, judge
from streams.roles.mapping import UnmappableEvent, analytics_event
from streams.roles.ports import DispatchStore

log = structlog.get_logger(__name__)


class Gate(Protocol):
    """A circuit breaker at the edge, as `sinks.circuit.Circuit` is."""

    def admit(self) -> Admitted | Rejected:
        """May a call start now?"""
        ...

    def record(self, admitted: Admitted, outcome: Outcome) -> None:
        """Take in what came of an admitted call."""
        ...

    def abandon(self, admitted: Admitted) -> None:
        """The call ended without an outcome."""
        ...

    def hold(self, seconds: float) -> None:
        """Open for so long."""
        ...


@dataclass(frozen=True, slots=True)
class PostHogPolicy:
    """The role's settings.

    Attributes:
        batch_size: most events of one claim and of one call of the sink.
        lease_s: how long a claim is held; longer than a call can take.
        max_retry: attempts after the first one that fail for the event's own sake; an outage of the target is waited
            out (see `streams.roles.dispatch_decisions`).
    """

    batch_size: int = 500
    lease_s: float = 120.0
    max_retry: int = 10


class PostHogRole:
    """Handles `cdc.public.user_activity_dispatch_outbox`, and sends in the background.

    Args:
        store: the dispatch outbox of the target POSTHOG.
        sink: where events go.
        gate: the target's circuit breaker.
        policy: settings.
        delay_s: seconds to wait after the n-th failure of a row.
        new_token: makes claim tokens and batch ids, e.g. `uuid.uuid4`.
        enabled: False claims nothing; rows wait.
        pace: how the claim loop waits.
    """

    def __init__(
        self,
        store: DispatchStore,
        sink: EventSink,
        gate: Gate,
        *,
        policy: PostHogPolicy,
        delay_s: DelayS,
        new_token: Callable[[], UUID],
        enabled: bool = True,
        pace: Pace | None = None,
    ) -> None:
        self._store = store
        self._sink = sink
        self._gate = gate
        self._policy = policy
        self._delay_s = delay_s
        self._new_token = new_token
        self._enabled = enabled
        self._loop = ClaimLoop("posthog", self.step, pace=pace)

    async def handle(self, batch: RecordBatch) -> Handled:
        """Wake the claim loop; the records themselves say nothing that the table does not."""
        self._loop.wake()
        return Handled()

    async def background(self) -> None:
        """Claim and send for ever; with `enabled` off, do nothing and say so once."""
        if not self._enabled:
            log.info("posthog.disabled", message="POSTHOG_ENABLED is 0: dispatch rows are left as they are")
            await asyncio.Event().wait()
        await self._loop.run()

    async def step(self) -> Next:
        """Claim one batch, send it, write what came of it.

        Raises:
            StoreUnavailable: the store cannot be asked; claims end by themselves with their lease.
        """
        token = self._new_token()
        rows = await self._store.claim(token, limit=self._policy.batch_size, lease_s=self._policy.lease_s)
        if not rows:
            return Idle()
        admitted = self._gate.admit()
        if isinstance(admitted, Rejected):
            await self._give_back(token, rows)
            return Hold(admitted.retry_after_s)
        sent, events, unmappable = _map(rows)
        try:
            batch = await self._send(events)
        except BaseException:
            self._gate.abandon(admitted)
            with suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._give_back(token, rows)
            raise
        self._settle_gate(admitted, batch)
        verdicts = judge(sent, batch.per_event, max_retry=self._policy.max_retry, delay_s=self._delay_s)
        await self._write(token, verdicts, unmappable, batch)
        if verdicts.released and not verdicts.attempted:
            return Hold(UNAUTHORISED_PAUSE_S)
        return More()

    async def _send(self, events: Sequence[AnalyticsEvent]) -> BatchOutcome:
        if not events:
            return BatchOutcome([], None, None, None, 0, 0)
        return await self._sink.send_batch(events)

    async def _give_back(self, token: UUID, rows: Sequence[DispatchRow]) -> None:
        released = [row.dispatch_id for row in rows]
        await self._store.finish(token, dispatched=(), failures=(), released=released, attempt=None)

    def _settle_gate(self, admitted: Admitted, batch: BatchOutcome) -> None:
        if not batch.per_event:
            self._gate.abandon(admitted)
            return
        worst = health(batch.per_event)
        self._gate.record(admitted, worst)
        if isinstance(worst, Unauthorised):
            self._gate.hold(UNAUTHORISED_PAUSE_S)

    async def _write(
        self, token: UUID, verdicts: Verdicts, unmappable: Sequence[DispatchFailure], batch: BatchOutcome
    ) -> None:
        attempt = self._attempt(verdicts, batch) if verdicts.attempted else None
        written = await self._store.finish(
            token,
            dispatched=verdicts.dispatched,
            failures=(*verdicts.failures, *unmappable),
            released=verdicts.released,
            attempt=attempt,
        )
        lost = verdicts.attempted + len(unmappable) + len(verdicts.released) - written
        metrics.claims_lost.labels(POSTHOG).inc(max(lost, 0))
        metrics.dispatch_execute.labels("success", POSTHOG).inc(len(verdicts.dispatched))
        metrics.dispatch_execute.labels("fail", POSTHOG).inc(len(verdicts.failures) + len(unmappable))
        metrics.dispatch_retry.labels("scheduled", POSTHOG).inc(verdicts.scheduled)
        if lost > 0:
            log.warning("posthog.claim_lost", rows=lost)
        if verdicts.failures:
            log.warning(
                "posthog.dispatch_failed",
                message=DISPATCH_FAILED,
                target=POSTHOG,
                failed=len(verdicts.failures),
                scheduled=verdicts.scheduled,
                http_status=batch.http_status,
                error=verdicts.failures[0].error,
            )

    def _attempt(self, verdicts: Verdicts, batch: BatchOutcome) -> DispatchAttempt:
        return DispatchAttempt(
            batch_id=self._new_token(),
            attempted=verdicts.attempted,
            succeeded=len(verdicts.dispatched),
            failed=len(verdicts.failures),
            http_status=batch.http_status,
            error_code=batch.error_code,
            error_message=batch.error_message,
            duration_ms=batch.duration_ms,
        )


def _map(
    rows: Sequence[DispatchRow],
) -> tuple[list[DispatchRow], list[AnalyticsEvent], list[DispatchFailure]]:
    """The rows that can be sent, their events, and failures for good of those that cannot."""
    sent: list[DispatchRow] = []
    events: list[AnalyticsEvent] = []
    failures: list[DispatchFailure] = []
    for row in rows:
        try:
            events.append(analytics_event(row))
        except UnmappableEvent as error:
            failures.append(DispatchFailure(row.dispatch_id, row.retry_count + 1, str(error), None))
            log.error(
                "posthog.payload_unreadable",
                message=DISPATCH_PAYLOAD_UNREADABLE,
                target=POSTHOG,
                event_id=str(row.event_id),
                error=str(error),
            )
        else:
            sent.append(row)
    return sent, events, failures
