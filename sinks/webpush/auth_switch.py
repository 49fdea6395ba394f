"""Whose fault is a 401 or 403: one subscription's, or our key's? Decided by ratio, per (origin, key). Pure.

Treating the answer as the subscription's fault lets one bad deployment disable every subscription; treating it
as ours lets one stale subscription stop the sink (reference sheet A4). So:

- some succeed, and as many as fail or enough of both were seen: the failing subscription is quarantined;
- `failures` distinct subscriptions refused and (almost) none accepted in the window, or `streak` of them in a row
  without one success between: tripped; pause, disable nothing;
- neither yet, or several refused in a row just now: undecided, try that message again later.

After a pause one probe decides whether to go on. Until a key has succeeded once, `unproven_in_flight` bounds how
many requests a bad key can waste.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

AuthKey = tuple[str, str]
"""(origin, VAPID key id)."""


@dataclass(frozen=True, slots=True)
class AuthSwitchSettings:
    """When to trip and for how long. `success_share`: at most this share of successes counts as almost none."""

    failures: int = 10
    streak: int = 30
    blameless_streak: int = 3
    window_s: float = 600.0
    success_share: float = 0.05
    pause_s: float = 60.0
    pause_cap_s: float = 3600.0
    unproven_in_flight: int = 16


class Verdict(Enum):
    """Whom an auth failure is put down to."""

    UNDECIDED = "undecided"
    SUBSCRIPTION = "subscription"
    TRIPPED = "tripped"


@dataclass(frozen=True, slots=True)
class Paused:
    """Do not send with this key to this origin for `retry_after_s` seconds."""

    retry_after_s: float


@dataclass(slots=True)
class _Evidence:
    """What was seen of one (origin, key): successes in ten steps of the window, failing subscriptions by last time."""

    successes: deque[list[float]] = field(default_factory=deque)
    failing: dict[int, float] = field(default_factory=dict)
    in_a_row: set[int] = field(default_factory=set)
    proven: bool = False
    paused_until_s: float | None = None
    probe_until_s: float | None = None
    trips: int = 0

    def expire(self, before_s: float) -> None:
        """Forget what happened before a time. A dict updated by removal and insertion stays in time order."""
        while self.successes and self.successes[0][0] <= before_s:
            self.successes.popleft()
        while self.failing:
            oldest = next(iter(self.failing))
            if self.failing[oldest] > before_s:
                break
            del self.failing[oldest]

    def successful(self) -> float:
        """Successes within the window."""
        return sum(count for _, count in self.successes)


class AuthSwitch:
    """The switch over all (origin, key) pairs of one sender. Times are monotonic seconds, passed in."""

    def __init__(self, settings: AuthSwitchSettings | None = None) -> None:
        self._settings = settings or AuthSwitchSettings()
        self._evidence: dict[AuthKey, _Evidence] = {}

    def admit(self, key: AuthKey, now_s: float) -> Paused | None:
        """None to go ahead. When a pause has ended, exactly one caller is let through until its result is in."""
        evidence = self._evidence.get(key)
        if evidence is None or evidence.paused_until_s is None:
            return None
        until_s = max(evidence.paused_until_s, evidence.probe_until_s or 0.0)
        if now_s < until_s:
            return Paused(until_s - now_s)
        evidence.probe_until_s = now_s + self._settings.pause_s
        return None

    def proven(self, key: AuthKey) -> bool:
        """Whether this key has ever been accepted by this origin since the start or the last trip."""
        evidence = self._evidence.get(key)
        return evidence is not None and evidence.proven

    def paused(self, key: AuthKey) -> bool:
        """Whether the key is paused at this origin (also while its probe is out)."""
        evidence = self._evidence.get(key)
        return evidence is not None and evidence.paused_until_s is not None

    def paused_for_s(self, key: AuthKey, now_s: float) -> float:
        """Seconds until the pause ends; 0 when there is none."""
        evidence = self._evidence.get(key)
        if evidence is None or evidence.paused_until_s is None:
            return 0.0
        return max(0.0, evidence.paused_until_s - now_s)

    def record_accepted(self, key: AuthKey, subscription_id: int, now_s: float) -> None:
        """The service accepted a message under this key."""
        evidence = self._evidence.setdefault(key, _Evidence())
        evidence.expire(now_s - self._settings.window_s)
        if evidence.successes and now_s - evidence.successes[-1][0] < self._settings.window_s / 10:
            evidence.successes[-1][1] += 1
        else:
            evidence.successes.append([now_s, 1])
        evidence.failing.pop(subscription_id, None)
        evidence.in_a_row.clear()
        evidence.proven = True
        if evidence.paused_until_s is not None:
            evidence.failing.clear()
            evidence.paused_until_s = evidence.probe_until_s = None
        evidence.trips = 0

    def record_failure(self, key: AuthKey, subscription_id: int, now_s: float, *, ours: bool = False) -> Verdict:
        """Take in a 401/403 and say whom it is put down to. `ours`: the answer itself blames our token."""
        evidence = self._evidence.setdefault(key, _Evidence())
        evidence.expire(now_s - self._settings.window_s)
        evidence.failing.pop(subscription_id, None)
        evidence.failing[subscription_id] = now_s
        evidence.in_a_row.add(subscription_id)
        if evidence.paused_until_s is not None:
            if now_s >= evidence.paused_until_s:
                self._trip(evidence, now_s)
            return Verdict.TRIPPED
        verdict = self._judge(evidence)
        if verdict is Verdict.TRIPPED:
            self._trip(evidence, now_s)
        return Verdict.UNDECIDED if ours and verdict is Verdict.SUBSCRIPTION else verdict

    def _judge(self, evidence: _Evidence) -> Verdict:
        failed, accepted = len(evidence.failing), evidence.successful()
        enough = failed >= self._settings.failures
        if enough and accepted <= self._settings.success_share * failed:
            return Verdict.TRIPPED
        if len(evidence.in_a_row) >= self._settings.streak:
            return Verdict.TRIPPED
        # A key that broke a moment ago still has its old successes in the window: several refused in a row
        # with none accepted between them are not put down to the subscriptions.
        if len(evidence.in_a_row) > self._settings.blameless_streak:
            return Verdict.UNDECIDED
        return Verdict.SUBSCRIPTION if enough or accepted >= max(failed, 1) else Verdict.UNDECIDED

    def abandon(self, key: AuthKey) -> None:
        """A call ended without an answer: if it was the probe, the next caller may take its place."""
        evidence = self._evidence.get(key)
        if evidence is not None:
            evidence.probe_until_s = None

    def reset(self, key: AuthKey) -> None:
        """Forget everything about a pair: an operator has corrected the key."""
        self._evidence.pop(key, None)

    def _trip(self, evidence: _Evidence, now_s: float) -> None:
        pause_s = min(self._settings.pause_cap_s, self._settings.pause_s * 2.0 ** min(evidence.trips, 30))
        evidence.trips += 1
        evidence.paused_until_s = now_s + pause_s
        evidence.probe_until_s = None
        evidence.proven = False
        evidence.in_a_row.clear()
