"""What the live view shows, as values: counts at one moment, and rates between two. Pure."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

STAGES: Final = ("outbox rows", "captured", "stored", "dispatched", "pushed")
"""The way of an event, in its order; each has a running count in `Figures.counts`."""

_RATE_OVER_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class AlertLine:
    """The last word of one alert: `since_ms` is Unix milliseconds of the first firing, or of the end."""

    rule: str
    status: str
    severity: str
    since_ms: int
    value: float | None
    threshold: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """All counts at one moment; `at_s` is on a monotonic clock, `now_ms` Unix time.

    Attributes:
        counts: running count per stage of `STAGES`.
        duplicates: records that repeated a stored event.
        dead_letters: reason to count.
        gone, failed: final push outcomes that are no delivery.
        jobs_waiting, dispatch_waiting: rows that are not in a final state.
        lag: consumer group to records not yet read; None while the broker does not answer.
        slot_bytes: log that the slot keeps back; None while unknown.
        alerts: last record of each alert.
        processes: name to state.
        faults: what is broken on purpose, target to its description.
        unreachable: what did not answer when the figures were taken, e.g. "postgres".
    """

    at_s: float
    now_ms: int
    counts: Mapping[str, int] = field(default_factory=dict)
    duplicates: int | None = None
    dead_letters: Mapping[str, int] = field(default_factory=dict)
    gone: int = 0
    failed: int = 0
    jobs_waiting: int = 0
    dispatch_waiting: int = 0
    lag: Mapping[str, int] | None = None
    slot_bytes: int | None = None
    alerts: tuple[AlertLine, ...] = ()
    processes: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    unreachable: tuple[str, ...] = ()


class History:
    """The last few figures, from which rates are computed over about five seconds."""

    def __init__(self) -> None:
        self._seen: deque[Figures] = deque()

    def add(self, figures: Figures) -> None:
        """Remember the newest figures; older ones than the rates need are forgotten."""
        self._seen.append(figures)
        while len(self._seen) > 2 and self._seen[1].at_s <= figures.at_s - _RATE_OVER_S:
            self._seen.popleft()

    def rates(self) -> dict[str, float]:
        """Stage to events per second; 0 for all until there are two figures."""
        if len(self._seen) < 2:
            return dict.fromkeys(STAGES, 0.0)
        first, last = self._seen[0], self._seen[-1]
        seconds = max(last.at_s - first.at_s, 1e-3)
        return {stage: max(0, last.counts.get(stage, 0) - first.counts.get(stage, 0)) / seconds for stage in STAGES}


def plain_line(figures: Figures, rates: Mapping[str, float]) -> str:
    """One line for logs and pipes, e.g. for `demo --exit` without a terminal."""
    parts = [f"{stage} {figures.counts.get(stage, 0)} ({rates.get(stage, 0):.0f}/s)" for stage in STAGES]
    parts.append(f"dead letters {sum(figures.dead_letters.values())}")
    parts.append("lag ?" if figures.lag is None else f"lag {sum(figures.lag.values())}")
    firing = [f"{alert.rule} {alert.severity}" for alert in figures.alerts if alert.status == "firing"]
    parts.append("alerts " + (", ".join(firing) or "none"))
    if figures.faults:
        parts.append("broken " + ", ".join(figures.faults))
    if figures.unreachable:
        parts.append("no answer from " + ", ".join(figures.unreachable))
    return " · ".join(parts)


def age(seconds: float) -> str:
    """A duration for people: 8 s, 3 min 05 s, 2 h 10 min."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3_600} h {whole % 3_600 // 60:02d} min"


def size(count_bytes: int) -> str:
    """Bytes for people: 512 B, 14.2 kB, 3.1 MB."""
    amount = float(count_bytes)
    for unit in ("B", "kB", "MB"):
        if amount < 1_000 or unit == "MB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1_000
    raise AssertionError("unreachable: the last unit returns")
