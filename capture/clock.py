"""The clocks that capture is given, so that tests own time."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """`monotonic_s` for intervals, `wall_ns` for stamps (Unix ns)."""

    monotonic_s: Callable[[], float] = time.monotonic
    wall_ns: Callable[[], int] = time.time_ns


SYSTEM_CLOCK = Clock()
