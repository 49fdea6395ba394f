"""When has a worker stalled? Pure: facts and time come in, a verdict goes out.

Faust workers are known to stall without a word (#175, #640, #523): they fetch, and nothing moves. What counts as
progress is an acknowledged offset, not a fetched record.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from streams.engine.positions import Partition


@dataclass(frozen=True, slots=True)
class Standing:
    """One partition at one moment.

    Attributes:
        acknowledged: offset below which everything is done; None before the first seek.
        under_way: slices fetched and not yet done.
        behind: records between reader and log end; None = the broker does not answer, which is no stall of ours.
    """

    acknowledged: int | None
    under_way: int
    behind: int | None

    @property
    def has_work(self) -> bool:
        """Whether there is something this worker could be doing."""
        return self.under_way > 0 or bool(self.behind)


@dataclass(slots=True)
class _Mark:
    acknowledged: int | None
    since_s: float


class StallWatch:
    """Remembers since when each partition has had work and not moved.

    Args:
        limit_s: how long that may last.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._marks: dict[Partition, _Mark] = {}

    def observe(self, now_s: float, standings: Mapping[Partition, Standing], *, excused: bool) -> list[Partition]:
        """The partitions that have stalled.

        Args:
            now_s: monotonic time, seconds.
            standings: every owned partition; others are forgotten.
            excused: the worker waits for a reason it has told (back-off, rebalance, recovery): the clock begins anew.
        """
        for gone in self._marks.keys() - standings.keys():
            del self._marks[gone]
        for where, standing in standings.items():
            mark = self._marks.get(where)
            idle = excused or not standing.has_work
            if mark is None or idle or mark.acknowledged != standing.acknowledged:
                self._marks[where] = _Mark(standing.acknowledged, now_s)
        return [where for where, mark in self._marks.items() if now_s - mark.since_s > self._limit_s]
