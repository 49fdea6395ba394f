"""How much may be under way: a partition with enough slices in memory is not fetched from.

Stock Faust bounds a queue per topic, and a full queue stops every partition of every topic, changelogs too. Here each
partition waits for itself alone. Not thread-safe: event loop only.
"""

import asyncio
from weakref import WeakSet

from streams.engine.positions import Partition


class SliceCredit:
    """Knows the slices of each partition between fetch and end.

    Slices are held weakly: Faust empties its queues without telling (`flow_control.resume` does, after recovery), and
    what it dropped must not count for ever.

    Args:
        limit: slices a partition may have in memory: one in hand and the next one, fetched meanwhile.
    """

    def __init__(self, limit: int = 2) -> None:
        self._limit = limit
        self._taken: dict[Partition, WeakSet[object]] = {}
        self._returned = asyncio.Event()

    def has_room(self, partition: Partition) -> bool:
        """Whether the partition may be fetched from."""
        return self.under_way(partition) < self._limit

    def under_way(self, partition: Partition) -> int:
        """Slices of the partition between fetch and end."""
        taken = self._taken.get(partition)
        return 0 if taken is None else len(taken)

    def take(self, partition: Partition, taken: object) -> None:
        """A slice of the partition was fetched."""
        self._taken.setdefault(partition, WeakSet()).add(taken)

    def give_back(self, partition: Partition, taken: object) -> None:
        """The slice has ended."""
        self._taken.get(partition, WeakSet[object]()).discard(taken)
        self._returned.set()

    def reset(self) -> None:
        """All partitions were given up, and with them every slice under way."""
        self._taken.clear()
        self._returned.set()

    async def wait_returned(self, timeout_s: float) -> None:
        """Until a slice ends, or the time is up."""
        self._returned.clear()
        try:
            await asyncio.wait_for(self._returned.wait(), timeout_s)
        except TimeoutError:
            return
