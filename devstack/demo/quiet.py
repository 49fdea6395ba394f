"""When is a run over? When nothing is left anywhere and nothing has moved for a moment."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_STILL_S: Final = 0.6


@dataclass(frozen=True, slots=True)
class Activity:
    """What is still to be done, and counts that would change if somebody were at work.

    Attributes:
        writing: the traffic is not yet all written.
        unfinished_rows: rows that are not in a final state.
        lag: records that a group has not yet read.
        unread: the witness has not yet read everything.
        moved: counts of what came out (stored, received, accepted, dead letters).
        blind: why nothing can be said, e.g. because the broker is frozen.
    """

    writing: bool
    unfinished_rows: int
    lag: int
    unread: bool
    moved: tuple[int, ...] = field(default_factory=tuple)
    blind: str | None = None

    @property
    def idle(self) -> bool:
        """Nothing is known to be left."""
        return not (self.writing or self.unfinished_rows or self.lag or self.unread or self.blind)

    def __str__(self) -> str:
        """What is left, as a sentence for whoever waited in vain."""
        left = [
            "traffic is not yet written" if self.writing else "",
            f"{self.unfinished_rows} rows are not in a final state" if self.unfinished_rows else "",
            f"{self.lag} records are not yet read" if self.lag else "",
            "the witness is behind" if self.unread else "",
            f"nothing can be said: {self.blind}" if self.blind else "",
        ]
        return ", ".join(part for part in left if part) or "something still moves"


class Stillness:
    """Decides from one look after the other whether the run is over. Pure: time is an argument."""

    def __init__(self, still_s: float = _STILL_S) -> None:
        self._still_s = still_s
        self._since_s: float | None = None
        self._moved: tuple[int, ...] = ()

    def over(self, activity: Activity, now_s: float) -> bool:
        """True once nothing was left and nothing moved for `still_s` seconds."""
        if not activity.idle or self._since_s is None or activity.moved != self._moved:
            self._since_s = now_s if activity.idle else None
            self._moved = activity.moved
            return False
        return now_s - self._since_s >= self._still_s


class NotQuiet(Exception):
    """The run did not come to rest in time; the sentence says what was left."""


def wait_until_quiet(look: Callable[[], Activity], timeout_s: float, every_s: float = 0.2) -> None:
    """Look until the run is over. Raises NotQuiet after `timeout_s`."""
    stillness, deadline_s = Stillness(), time.monotonic() + timeout_s
    while not stillness.over(activity := look(), time.monotonic()):
        if time.monotonic() > deadline_s:
            raise NotQuiet(f"not at rest after {timeout_s:.0f} s: {activity}")
        time.sleep(every_s)
