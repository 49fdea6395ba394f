"""The push role: claims due notify jobs, sends each to the member's subscriptions, logs every final outcome once.

Records of `cdc.public.notify_jobs` wake it; what is due stands in the table. Circuit breakers and the auth switch are
the sender's, one per push service: a message they hold back comes out as `RetryAfter` that was not attempted.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import structlog

from sinks.outcomes import Delivered, Outcome, RetryAfter, was_attempted
from sinks.ports import PushSender, PushTarget
from sinks.store_values import JobResult, JobStatus
from streams import metrics
from streams.engine.batch import RecordBatch
from streams.engine.outcomes import Handled
from streams.metrics import WEB_PUSH
from streams.roles.claim_loop import ClaimLoop, Idle, More, Next, Pace
from streams.roles.dispatch_decisions import DelayS
from streams.roles.ports import JobStore
from streams.roles.push_decisions import PushPolicy, Sending, conclude, plan

log = structlog.get_logger(__name__)

LEASE_SHARE: Final = 0.75
"""Share of the lease after which nothing new is sent: the rest is for answers under way and for the write."""


@dataclass(frozen=True, slots=True)
class ClaimPolicy:
    """How jobs are claimed.

    Attributes:
        jobs: most jobs of one claim.
        lease_s: how long a claim is held.
        concurrency: most messages in flight in this process.
    """

    jobs: int = 100
    lease_s: float = 120.0
    concurrency: int = 50


@dataclass(slots=True)
class _Round:
    """One claim under way: outcomes by job and subscription, as they come in."""

    outcomes: dict[int, dict[int, Outcome]] = field(default_factory=dict)

    def note(self, job_id: int, subscription_id: int, outcome: Outcome) -> None:
        self.outcomes.setdefault(job_id, {})[subscription_id] = outcome


class PushRole:
    """Handles `cdc.public.notify_jobs`, and sends in the background.

    Args:
        store: the queue of jobs.
        sender: sends one message to one subscription.
        policy: how jobs are judged.
        claims: how jobs are claimed.
        delay_s: seconds to wait after the n-th failure of a job.
        new_token: makes claim tokens, e.g. `uuid.uuid4`.
        clock_s: a monotonic clock, seconds.
        enabled: WEB_PUSH_ENABLED; False claims nothing, jobs queue up (000 L28).
        lanes: claims that run side by side, so that a slow service does not hold up the others.
        pace: how the claim loops wait.
    """

    def __init__(
        self,
        store: JobStore,
        sender: PushSender,
        *,
        policy: PushPolicy,
        delay_s: DelayS,
        new_token: Callable[[], UUID],
        clock_s: Callable[[], float],
        claims: ClaimPolicy | None = None,
        enabled: bool = True,
        lanes: int = 2,
        pace: Pace | None = None,
    ) -> None:
        self._store = store
        self._sender = sender
        self._policy = policy
        self._claims = claims or ClaimPolicy()
        self._delay_s = delay_s
        self._new_token = new_token
        self._clock_s = clock_s
        self._enabled = enabled
        self._in_flight = asyncio.Semaphore(self._claims.concurrency)
        self._loops = [ClaimLoop("push", self.step, pace=pace) for _ in range(lanes)]

    async def handle(self, batch: RecordBatch) -> Handled:
        """Wake the claim loops; the records themselves say nothing that the table does not."""
        for loop in self._loops:
            loop.wake()
        return Handled()

    async def background(self) -> None:
        """Claim and send for ever; with `enabled` off, do nothing and say so once."""
        if not self._enabled:
            log.info("push.disabled", message="WEB_PUSH_ENABLED is 0: jobs are queued, nothing is sent")
            await asyncio.Event().wait()
        async with asyncio.TaskGroup() as lanes:
            for loop in self._loops:
                lanes.create_task(loop.run())

    async def step(self) -> Next:
        """Claim jobs, send their messages, write what came of them.

        Raises:
            StoreUnavailable: the store cannot be asked; claims end by themselves with their lease.
        """
        began_s = self._clock_s()
        token = self._new_token()
        jobs = await self._store.claim(token, limit=self._claims.jobs, lease_s=self._claims.lease_s)
        if not jobs:
            return Idle()
        plans = [plan(job, self._policy) for job in jobs]
        sendings = [planned for planned in plans if isinstance(planned, Sending)]
        settled = [planned for planned in plans if isinstance(planned, JobResult)]
        sent = _Round()
        try:
            await self._send_all(sendings, sent, until_s=began_s + LEASE_SHARE * self._claims.lease_s)
        finally:
            # Also when cancelled: what was sent is written, what was not is given back.
            results = [*settled, *(self._conclude(sending, sent) for sending in sendings)]
            await self._write(token, results, sent)
        return More()

    async def _send_all(self, sendings: Sequence[Sending], sent: _Round, *, until_s: float) -> None:
        async with asyncio.TaskGroup() as group:
            for sending in sendings:
                for target in sending.job.targets:
                    await self._in_flight.acquire()
                    if self._clock_s() >= until_s:
                        self._in_flight.release()
                        return
                    group.create_task(self._send(sending, target, sent))

    async def _send(self, sending: Sending, target: PushTarget, sent: _Round) -> None:
        try:
            outcome = await self._sender.send(target, sending.message)
        finally:
            self._in_flight.release()
        sent.note(sending.job.job_id, target.subscription_id, outcome)

    def _conclude(self, sending: Sending, sent: _Round) -> JobResult:
        outcomes = sent.outcomes.get(sending.job.job_id, {})
        return conclude(sending, outcomes, policy=self._policy, delay_s=self._delay_s)

    async def _write(self, token: UUID, results: Sequence[JobResult], sent: _Round) -> None:
        report = await self._store.settle(token, results)
        lost = len(results) - report.settled
        metrics.claims_lost.labels(WEB_PUSH).inc(lost)
        if lost:
            log.warning("push.claim_lost", jobs=lost)
        if report.log_conflicts:
            log.error("push.dedup_conflict", table="push_message_logs", conflicts=report.log_conflicts)
        if report.disabled:
            log.info("push.subscriptions_disabled", subscriptions=report.disabled)
        self._count(results, sent)

    def _count(self, results: Sequence[JobResult], sent: _Round) -> None:
        """Count attempts; jobs that failed for good get a line each, up to the size of a claim."""
        outcomes = [outcome for by_target in sent.outcomes.values() for outcome in by_target.values()]
        delivered = sum(isinstance(outcome, Delivered) for outcome in outcomes)
        attempted = sum(was_attempted(outcome) for outcome in outcomes)
        waiting = sum(isinstance(outcome, RetryAfter) and was_attempted(outcome) for outcome in outcomes)
        metrics.dispatch_execute.labels("success", WEB_PUSH).inc(delivered)
        metrics.dispatch_execute.labels("fail", WEB_PUSH).inc(attempted - delivered)
        retried = sum(result.due_in_s is not None for result in results)
        metrics.dispatch_retry.labels("scheduled", WEB_PUSH).inc(retried)
        failed = [result for result in results if result.status is JobStatus.FAILED]
        if failed or waiting:
            log.warning(
                "push.delivery_failed",
                failed_jobs=len(failed),
                retried_jobs=retried,
                error=failed[0].last_error if failed else None,
            )
