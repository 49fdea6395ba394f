"""The loop of a claiming role: claim and send until nothing is due, then wait for a wake or for the timer.

CDC only wakes: what is due stands in the database, so a lost or late wake costs time and nothing else (design.md §6).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import assert_never

import structlog

from sinks.store_errors import StoreUnavailable

log = structlog.get_logger(__name__)


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
        store_retry_s: wait while the store is unavailable.
        hold_cap_s: longest hold, so that a lifted hold is noticed.
    """

    poll_s: float = 1.0
    linger_s: float = 0.02
    store_retry_s: float = 1.0
    hold_cap_s: float = 30.0


class ClaimLoop:
    """Runs a step for ever; `wake` ends an idle wait.

    Args:
        name: for the log, e.g. `push`.
        step: one claim with everything that follows from it.
        pace: how to wait.
        sleep: waits; injected by tests.
    """

    def __init__(
        self,
        name: str,
        step: Step,
        *,
        pace: Pace | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._name = name
        self._step = step
        self._pace = pace or Pace()
        self._sleep = sleep
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something may be due."""
        self._woken.set()

    async def run(self) -> None:
        """Run until cancelled. Raises what the step raises, but for `StoreUnavailable`."""
        while True:
            # Cleared before the claim: a wake that comes while it runs is not lost.
            self._woken.clear()
            try:
                following = await self._step()
            except StoreUnavailable as error:
                log.warning("store.unavailable", role=self._name, error=str(error))
                await self._sleep(self._pace.store_retry_s)
                continue
            await self._wait(following)

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
