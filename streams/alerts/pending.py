"""Progress records that the view has not reached yet; pure.

Kept thin: the view is always a little behind the newest record, so the older ones must stay until reached, or nothing
would ever be evaluated under load; but no more of them than a bound, since any of them will do.
"""

from collections.abc import Callable, Mapping
from typing import Final

from schemas.progress import Progress

KEPT: Final = 64


class PendingProgress:
    """A bounded queue of watermarks, oldest first."""

    def __init__(self) -> None:
        self._kept: list[Progress] = []
        self._newest_ms = 0

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, progress: Progress) -> bool:
        """Keep a record; False if one as new or newer was kept before (the record was delivered again)."""
        if progress.commit_ms <= self._newest_ms:
            return False
        self._newest_ms = progress.commit_ms
        self._kept.append(progress)
        if len(self._kept) > KEPT:
            # Every second one goes, never the oldest: it is the next that can be reached.
            self._kept = [kept for place, kept in enumerate(self._kept) if place % 2 == 0]
        return True

    def newest_reached(self, has_reached: Callable[[Mapping[str, tuple[int, ...]]], bool]) -> Progress | None:
        """The newest record whose end offsets were reached; it and all before it are let go."""
        for place in range(len(self._kept) - 1, -1, -1):
            if has_reached(self._kept[place].end_offsets):
                reached = self._kept[place]
                del self._kept[: place + 1]
                return reached
        return None
