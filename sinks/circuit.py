"""A breaker at the edge: real clock, real dice, and the metric dispatch.circuit (001 L35-44) kept in step."""

import random
import time
from collections.abc import Callable
from typing import assert_never

from sinks.breaker import STATE_NAMES, Admitted, Breaker, BreakerSettings, Rejected, State
from sinks.metrics import note_circuit
from sinks.outcomes import Delivered, Gone, Outcome, Refused, RetryAfter, Unauthorised, was_attempted


class Circuit:
    """One target's breaker. `admit` before a call, `record` its outcome, `abandon` it if it was cancelled."""

    def __init__(
        self,
        target: str,
        settings: BreakerSettings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.target = target
        self.breaker = Breaker(settings)
        self._clock = clock
        self._dice = dice
        self._shown = State.CLOSED
        self._show()

    def admit(self) -> Admitted | Rejected:
        """May a call start now?"""
        answer = self.breaker.admit(self._clock())
        self._show()
        return answer

    def record(self, admitted: Admitted, outcome: Outcome) -> None:
        """Take in what came of an admitted call: only `RetryAfter` speaks against the destination's health."""
        match outcome:
            case RetryAfter(seconds=seconds):
                if was_attempted(outcome):
                    self._count(admitted, ok=False, retry_after_s=seconds)
                else:
                    self.breaker.abandon(admitted)
            case Delivered() | Refused() | Gone() | Unauthorised():
                self._count(admitted, ok=True, retry_after_s=None)
            case _ as unreachable:
                assert_never(unreachable)

    def hold(self, seconds: float) -> None:
        """Open at once for the time that the destination asked for."""
        self.breaker.hold(self._clock(), seconds, jitter=self._dice())
        self._show()

    def kill(self) -> None:
        """Stop by hand until `force_close`."""
        self.breaker.kill()
        self._show()

    def force_close(self) -> None:
        """Close by hand."""
        self.breaker.force_close()
        self._show()

    def abandon(self, admitted: Admitted) -> None:
        """The call was cancelled before it had an outcome."""
        self.breaker.abandon(admitted)

    def _count(self, admitted: Admitted, ok: bool, retry_after_s: float | None) -> None:
        self.breaker.record(self._clock(), ok, retry_after_s, jitter=self._dice(), admitted=admitted)
        self._show()

    def _show(self) -> None:
        if self.breaker.state is not self._shown:
            self._shown = self.breaker.state
            note_circuit(self.target, self._shown.value, STATE_NAMES)
