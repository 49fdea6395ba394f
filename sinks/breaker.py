"""A circuit breaker on failure rate. Pure: every method takes the time, and jitter where one is wanted.

    closed ──(≥ 50 % of ≥ 20 calls in 30 s failed)──▶ open ──(open time over)──▶ half-open
      ▲                                                ▲                            │ one probe in flight
      └──────────────── probe ok ──────────────────────┼──── probe failed ──────────┘
    any ──kill()──▶ killed ──force_close()──▶ closed

Libraries count consecutive failures and let every waiting caller through in half-open
(reference sheet E); here a rate with a minimum volume opens it, and exactly one probe is admitted.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from sinks.retry import next_delay_s


class State(StrEnum):
    """Where the breaker stands; the values are those of the state label of the metric."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    KILLED = "killed"


STATE_NAMES = tuple(state.value for state in State)


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """Thresholds; times in seconds. A probe that nobody reports on is given up after `probe_lease_s`."""

    failure_rate: float = 0.5
    minimum_calls: int = 20
    window_s: float = 30.0
    open_base_s: float = 1.0
    open_cap_s: float = 60.0
    told_cap_s: float = 3600.0
    probe_lease_s: float = 120.0
    start_half_open: bool = False


@dataclass(frozen=True, slots=True)
class Admitted:
    """Go ahead, and hand this back to `record` (or `abandon`): `era` tells a probe from an older call."""

    era: int
    probe: bool


@dataclass(frozen=True, slots=True)
class Rejected:
    """Do not call; asking again before `retry_after_s` seconds is useless."""

    retry_after_s: float


@dataclass(slots=True)
class _Second:
    """Calls that ended within one second of the window."""

    at: int
    ok: int = 0
    failed: int = 0


class Breaker:
    """The state machine. Not safe for threads; one event loop or one owner is assumed."""

    def __init__(self, settings: BreakerSettings | None = None) -> None:
        self._settings = settings or BreakerSettings()
        self._state = State.HALF_OPEN if self._settings.start_half_open else State.CLOSED
        self._seconds: deque[_Second] = deque()
        self._now_s = float("-inf")
        self._open_until_s = float("-inf")
        self._openings = 0
        self._era = 0
        self._probe_until_s: float | None = None

    @property
    def state(self) -> State:
        """The state as of the last call of any method."""
        return self._state

    def admit(self, now_s: float) -> Admitted | Rejected:
        """May a call start now? In half-open only one caller is told yes until its result is in."""
        now_s = self._advance(now_s)
        match self._state:
            case State.CLOSED:
                return Admitted(self._era, probe=False)
            case State.OPEN:
                return Rejected(self._open_until_s - now_s)
            case State.KILLED:
                return Rejected(self._settings.open_cap_s)
            case State.HALF_OPEN:
                return self._admit_probe(now_s)

    def record(
        self,
        now_s: float,
        ok: bool,
        retry_after_s: float | None = None,
        *,
        jitter: float = 0.0,
        admitted: Admitted | None = None,
    ) -> State | None:
        """Take in the result of a call; returns the new state if it changed, else None.

        Without `admitted` the result counts for the state that the breaker is in now. A result of a call that
        started before the last change of state decides nothing.
        """
        before = self._state
        now_s = self._advance(now_s)
        if admitted is not None and admitted.era != self._era:
            return self._changed(before)
        if self._state is State.CLOSED:
            self._count(now_s, ok)
            if not ok and self._too_many_failed():
                self._open(now_s, retry_after_s, jitter)
        elif self._state is State.HALF_OPEN:
            if ok:
                self._close()
            else:
                self._open(now_s, retry_after_s, jitter)
        return self._changed(before)

    def abandon(self, admitted: Admitted) -> None:
        """The call ended without a result (cancelled): if it was the probe, another may take its place."""
        if admitted.probe and admitted.era == self._era:
            self._probe_until_s = None

    def hold(self, now_s: float, seconds: float, *, jitter: float = 0.0) -> State | None:
        """Open at once for the time a destination asked for (429 with Retry-After); never shortens a hold."""
        before = self._state
        now_s = self._advance(now_s)
        if self._state is State.KILLED:
            return None
        if self._state is State.OPEN:
            self._open_until_s = max(self._open_until_s, now_s + self._told_s(seconds, jitter))
        else:
            self._open(now_s, seconds, jitter)
        return self._changed(before)

    def kill(self) -> None:
        """Stop by hand: nothing is admitted until `force_close`."""
        self._enter(State.KILLED)

    def force_close(self) -> None:
        """Close by hand from any state, forgetting all counts."""
        self._close()

    def _advance(self, now_s: float) -> float:
        """Take the time, which never runs backwards here, and let an open time end."""
        self._now_s = max(self._now_s, now_s)
        if self._state is State.OPEN and self._now_s >= self._open_until_s:
            self._enter(State.HALF_OPEN)
        return self._now_s

    def _admit_probe(self, now_s: float) -> Admitted | Rejected:
        if self._probe_until_s is not None and now_s < self._probe_until_s:
            return Rejected(min(self._settings.open_base_s, self._probe_until_s - now_s))
        # A new era, so that a probe given up for lost cannot speak for the one that replaces it.
        self._era += 1
        self._probe_until_s = now_s + self._settings.probe_lease_s
        return Admitted(self._era, probe=True)

    def _count(self, now_s: float, ok: bool) -> None:
        second = int(now_s)
        if not self._seconds or self._seconds[-1].at != second:
            self._seconds.append(_Second(second))
        if ok:
            self._seconds[-1].ok += 1
        else:
            self._seconds[-1].failed += 1
        while self._seconds[0].at <= now_s - self._settings.window_s:
            self._seconds.popleft()

    def _too_many_failed(self) -> bool:
        failed = sum(second.failed for second in self._seconds)
        calls = failed + sum(second.ok for second in self._seconds)
        return calls >= self._settings.minimum_calls and failed >= self._settings.failure_rate * calls

    def _open(self, now_s: float, retry_after_s: float | None, jitter: float) -> None:
        self._openings += 1
        own_s = next_delay_s(self._openings, self._settings.open_base_s, self._settings.open_cap_s, jitter)
        self._open_until_s = now_s + max(own_s, self._told_s(retry_after_s, jitter))
        self._enter(State.OPEN)

    def _told_s(self, retry_after_s: float | None, jitter: float) -> float:
        # Jitter only ever adds to what was told: coming back early is what Retry-After forbids.
        return min(max(retry_after_s or 0.0, 0.0) * (1 + jitter / 10), self._settings.told_cap_s)

    def _close(self) -> None:
        self._openings = 0
        self._enter(State.CLOSED)

    def _enter(self, state: State) -> None:
        self._state = state
        self._era += 1
        self._seconds.clear()
        self._probe_until_s = None

    def _changed(self, before: State) -> State | None:
        return None if self._state is before else self._state
