"""The push role: claims due notify jobs, sends each to the member's subscriptions, logs every final outcome once.

Records of `cdc.public.notify_jobs` wake it; what is due stands in the table. Circuit breakers and the auth switch are
the sender's, one per push service: a message they hold back comes out as `RetryAfter` that was not attempted.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self
from uuid import UUID

import structlog

from sinks.outcomes import Delivered, Outcome, RetryAfter, was_attempted
from sinks.ports import PushSender, PushTarget
from sinks.store_values import DispatchAttempt, JobResult, JobStatus
from streams import metrics
from streams.engine.batch import RecordBatch
from streams.engine.outcomes import Handled
from streams.metrics import WEB_PUSH
from streams.roles.claim_loop import ClaimLoop, Idle, More, Next, Pace
from streams.roles.dispatch_decisions import DelayS
from streams.roles.ports import JobStore
from streams.roles.push_decisions import PushPolicy, Sending, attempt, conclude, is_failure, plan

log = structlog.get_logger(__name__)

WRITE_S: Final = 20.0
"""Part of the lease that is kept for the write: no send is under way any more when it begins."""

SENDING_S: Final = 90.0
"""Part of the lease in which sends may begin, for a policy made by `ClaimPolicy.for_timeout`."""


@dataclass(frozen=True, slots=True)
class ClaimPolicy:
    """How jobs are claimed.

    Attributes:
        jobs: most jobs of one claim.
        lease_s: how long a claim is held; longer than one send and the write.
        concurrency: most messages in flight in this process.
        timeout_s: longest time that one request takes.

    Raises:
        ValueError: the lease leaves no time to send in.
    """

    jobs: int = 100
    lease_s: float = 120.0
    concurrency: int = 50
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        """Check the times against each other."""
        if self.begin_within_s <= 0:
            raise ValueError(
                f"a lease of {self.lease_s:g} s is too short for requests of {self.timeout_s:g} s"
                f" and a write of {WRITE_S:g} s"
            )

    @classmethod
    def for_timeout(cls, timeout_s: float, concurrency: int) -> Self:
        """The policy for requests of at most `timeout_s` seconds: none outlives its lease."""
        return cls(lease_s=SENDING_S + timeout_s + WRITE_S, concurrency=concurrency, timeout_s=timeout_s)

    @property
    def begin_within_s(self) -> float:
        """Seconds of the lease after which nothing new is sent."""
        return self.end_within_s - self.timeout_s

    @property
    def end_within_s(self) -> float:
        """Seconds of the lease after which nothing is under way any more."""
        return self.lease_s - WRITE_S


@dataclass(slots=True)
class _Round:
    """One claim under way: outcomes by job and subscription, as they come in."""

    token: UUID
    began_s: float
    outcomes: dict[int, dict[int, Outcome]] = field(default_factory=dict)
    last_failure: Outcome | None = None

    def note(self, job_id: int, subscription_id: int, outcome: Outcome) -> None:
        self.outcomes.setdefault(job_id, {})[subscription_id] = outcome
        if is_failure(outcome):
            self.last_failure = outcome

    def all(self) -> list[Outcome]:
        return [outcome for by_target in self.outcomes.values() for outcome in by_target.values()]


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
        dice: jitter in [0, 1) for holds.
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
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._sender = sender
        self._policy = policy
        self._claims = claims or ClaimPolicy()
        self._delay_s = delay_s
        self._new_token = new_token
        self._clock_s = clock_s
        self._enabled = enabled
        self._dice = dice
        self._defect: BaseException | None = None
        self._in_flight = asyncio.Semaphore(self._claims.concurrency)
        self._loops = [ClaimLoop("push", self.step, pace=pace) for _ in range(lanes)]

    async def handle(self, batch: RecordBatch) -> Handled:
        """Wake the claim loops; the records themselves say nothing that the table does not."""
        for loop in self._loops:
            loop.wake()
        return Handled()

    async def background(self) -> None:
        """Claim and send for ever; with `enabled` off, do nothing and say so once.

        When one lane ends by a defect, the others finish and write their claims before it is raised: cancelling them
        would forget what their services have taken already.
        """
        if not self._enabled:
            log.info("push.disabled", message="WEB_PUSH_ENABLED is 0: jobs are queued, nothing is sent")
            await asyncio.Event().wait()
        lanes = [asyncio.create_task(loop.run()) for loop in self._loops]
        try:
            ended, _ = await asyncio.wait(lanes, return_when=asyncio.FIRST_COMPLETED)
            self._defect = self._defect or next(iter(ended)).exception()
            await asyncio.wait(lanes)
        finally:
            for lane in lanes:
                lane.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)
        if self._defect is not None:
            raise self._defect

    async def step(self) -> Next:
        """Claim jobs, send their messages, write what came of them.

        Raises:
            StoreUnavailable: the store cannot be asked; claims end by themselves with their lease.
            Exception: the first defect that a send came out with, once everything else is written; it stays.
        """
        if self._defect is not None:
            raise self._defect
        sent = _Round(self._new_token(), self._clock_s())
        jobs = await self._store.claim(sent.token, limit=self._claims.jobs, lease_s=self._claims.lease_s)
        if not jobs:
            return Idle()
        plans = [plan(job, self._policy) for job in jobs]
        sendings = [planned for planned in plans if isinstance(planned, Sending)]
        settled = [planned for planned in plans if isinstance(planned, JobResult)]
        try:
            await self._send_all(sendings, sent)
        finally:
            # Also when cancelled: what was sent is written, what was not is given back.
            results = [*settled, *(self._conclude(sending, sent) for sending in sendings)]
            await self._write(results, sent)
        if self._defect is not None:
            raise self._defect
        return More()

    async def _send_all(self, sendings: Sequence[Sending], sent: _Round) -> None:
        until_s = sent.began_s + self._claims.begin_within_s
        async with asyncio.TaskGroup() as group:
            for sending in sendings:
                for target in sending.job.targets:
                    await self._in_flight.acquire()
                    if self._defect is not None or self._clock_s() >= until_s:
                        self._in_flight.release()
                        return
                    group.create_task(self._send(sending, target, sent))

    async def _send(self, sending: Sending, target: PushTarget, sent: _Round) -> None:
        """Send one message. What was not answered in time for the write, or is a defect, leaves no outcome."""
        left_s = sent.began_s + self._claims.end_within_s - self._clock_s()
        # The sender may queue a message before it posts it; that wait has no limit of its own.
        deadline = asyncio.timeout(max(left_s, 0.0))
        try:
            async with deadline:
                outcome = await self._sender.send(target, sending.message)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is raised, but later
            if not deadline.expired():
                # Raised after the write: the messages beside this one may have been taken already.
                self._defect = self._defect or error
            return
        finally:
            self._in_flight.release()
        sent.note(sending.job.job_id, target.subscription_id, outcome)

    def _conclude(self, sending: Sending, sent: _Round) -> JobResult:
        outcomes = sent.outcomes.get(sending.job.job_id, {})
        return conclude(sending, outcomes, policy=self._policy, delay_s=self._delay_s, jitter=self._dice())

    def _attempt(self, sent: _Round) -> DispatchAttempt | None:
        duration_ms = round((self._clock_s() - sent.began_s) * 1000)
        return attempt(sent.token, sent.all(), sent.last_failure, duration_ms)

    async def _write(self, results: Sequence[JobResult], sent: _Round) -> None:
        report = await self._store.settle(sent.token, results, self._attempt(sent))
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
        outcomes = sent.all()
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
