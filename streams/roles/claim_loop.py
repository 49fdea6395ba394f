"""The loop of a claiming role: claim and send until nothing is due, then wait for a wake or for the timer.

CDC only wakes: what is due stands in the database, so a lost or late wake costs time and nothing else (design.md §6).
A store that refuses (a row it cannot read, a value it does not take) does so again after a restart: ending the process
would stop the role's other lanes and its offsets as well, so the loop says so, counts it and tries less and less often.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, assert_never

import structlog

from sinks.store_errors import StoreError, StoreRefused
from streams import metrics

log = structlog.get_logger(__name__)

REFUSAL_TOLD_EVERY_S: Final = 60.0
"""Seconds between two log lines about a store that refuses; `store_refused_total` counts each time."""


@dataclass(frozen=True, slots=True)
class More:
    """Something was done and more may be due: go on at once."""


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing is due: wait for a wake or for the timer."""


@dataclass(frozen=True, slots=True)
class Hold:
    """The destination is not to be tried for so long, whatever comes in."""

    seconds: float


Next = More | Idle | Hold
Step = Callable[[], Awaitable[Next]]


@dataclass(frozen=True, slots=True)
class Pace:
    """How a claim loop waits; seconds.

    Attributes:
        poll_s: longest wait while idle: retries and scheduled jobs become due by time, without a wake.
        linger_s: wait after a wake, so that a burst is claimed as one batch.
        store_retry_s: wait while the store is unavailable, and after it refused once; each refusal doubles it.
        hold_cap_s: longest hold, so that a lifted hold is noticed.
        refused_cap_s: longest wait after a refusal.
    """

    poll_s: float = 1.0
    linger_s: float = 0.02
    store_retry_s: float = 1.0
    hold_cap_s: float = 30.0
    refused_cap_s: float = 60.0


class ClaimLoop:
    """Runs a step for ever; `wake` ends an idle wait.

    Args:
        name: for the log, e.g. `push`.
        step: one claim with everything that follows from it.
        pace: how to wait.
        sleep: waits; injected by tests.
        clock_s: a monotonic clock, seconds; injected by tests.
    """

    def __init__(
        self,
        name: str,
        step: Step,
        *,
        pace: Pace | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._step = step
        self._pace = pace or Pace()
        self._sleep = sleep
        self._clock_s = clock_s
        self._refusals = 0
        self._told_s = float("-inf")
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something may be due."""
        self._woken.set()

    async def run(self) -> None:
        """Run until cancelled. Raises what the step raises, but for what a store says."""
        while True:
            # Cleared before the claim: a wake that comes while it runs is not lost.
            self._woken.clear()
            try:
                following = await self._step()
            except StoreError as error:
                if _cancelled():
                    # A write on the way out of a cancelled step failed, and its error took the cancellation's place.
                    raise asyncio.CancelledError from error
                await self._sleep(self._told(error))
                continue
            self._refusals = 0
            await self._wait(following)

    def _told(self, error: StoreError) -> float:
        """Log what the store says; returns the seconds to wait before it is asked again."""
        if not isinstance(error, StoreRefused):
            log.warning("store.unavailable", role=self._name, error=str(error))
            return self._pace.store_retry_s
        metrics.store_refused.labels(self._name).inc()
        now_s = self._clock_s()
        if now_s - self._told_s >= REFUSAL_TOLD_EVERY_S:
            self._told_s = now_s
            log.error("store.refused", role=self._name, error=str(error))
        self._refusals += 1
        # Beyond 2^16 nothing changes any more, and a float would run over one day.
        return min(self._pace.store_retry_s * 2.0 ** min(self._refusals - 1, 16), self._pace.refused_cap_s)

    async def _wait(self, following: Next) -> None:
        match following:
            case More():
                # Handlers and heartbeats share this loop's thread.
                await asyncio.sleep(0)
            case Idle():
                await self._wait_for_wake()
            case Hold(seconds=seconds):
                await self._sleep(min(max(seconds, 0.0), self._pace.hold_cap_s))
            case _ as unreachable:
                assert_never(unreachable)

    async def _wait_for_wake(self) -> None:
        try:
            async with asyncio.timeout(self._pace.poll_s):
                await self._woken.wait()
        except TimeoutError:
            return
        await self._sleep(self._pace.linger_s)


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
