"""Phase two's view: phase one's state, all source partitions of it, read from the changelog and summed; pure.

Of each slot the record with the highest fence counts, whichever owner wrote it and whenever it arrived: an owner that
was frozen after its guard and writes late changes nothing (design.md §7). The view holds a copy of the live records
only; it never writes.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from streams.windows.panes import Layout
from streams.windows.signals import Series
from streams.windows.state import (
    Block,
    BlockKey,
    Position,
    PositionKey,
    Slot,
    decode_block,
    decode_key,
    decode_position,
)

_START: Final = Position(0)


class View:
    """What all owners have counted, as far as the changelog was read.

    Args:
        layout: how time is cut; records cut otherwise (an older rule set) are passed over.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._blocks: dict[Slot, dict[int, Block]] = {}
        self._positions: dict[tuple[str, int], dict[int, Position]] = {}
        self._slots: dict[Series, set[Slot]] = {}
        self._floors: dict[tuple[str, int], int] = {}

    def clear(self) -> None:
        """Forget everything: the changelog will be read from its beginning."""
        self._blocks.clear()
        self._positions.clear()
        self._slots.clear()

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take in one changelog record; a null value ends its key.

        Raises:
            StateUnreadable: the record is not of this release's version.
        """
        match decode_key(key):
            case PositionKey(topic=topic, partition=partition, generation=generation):
                positions = self._positions.setdefault((topic, partition), {})
                if value is None:
                    positions.pop(generation, None)
                else:
                    positions[generation] = decode_position(key, value)
            case BlockKey(slot=slot, generation=generation):
                if slot.pane_ms != self._layout.pane_ms:
                    return
                if value is None:
                    self._end(slot, generation)
                else:
                    self._blocks.setdefault(slot, {})[generation] = decode_block(key, value)
                    self._slots.setdefault(slot.series, set()).add(slot)

    def raise_floors(self, floors: Mapping[tuple[str, int], int]) -> None:
        """Note the first offset that each source partition still has: what lies below can no longer be counted."""
        self._floors.update(floors)

    def position(self, topic: str, partition: int) -> Position:
        """How far a source partition was processed, by its furthest owner."""
        return max(self._positions.get((topic, partition), {}).values(), key=Position.rank, default=_START)

    def has_reached(self, end_offsets: Mapping[str, Sequence[int]], topics: Iterable[str]) -> bool:
        """Whether every partition of `topics` was processed up to its end offset."""
        return all(
            max(self.position(topic, partition).next_offset, self._floors.get((topic, partition), 0)) >= end
            for topic in topics
            for partition, end in enumerate(end_offsets.get(topic, ()))
        )

    def series_of(self, signal: str) -> set[Series]:
        """The series of a signal that have a live block."""
        return {series for series in self._slots if series.signal == signal}

    def sums(self, series: Series, end_ms: int, window_ms: int) -> dict[str, int]:
        """The sums of a series over (end - window, end], all source partitions together; empty without any block.

        Args:
            series: what to sum.
            end_ms: end of a pane.
            window_ms: whole panes.
        """
        total: dict[str, int] = {}
        first_ms = end_ms - window_ms
        for slot in self._slots.get(series, ()):
            first = max(0, (first_ms - slot.block_start_ms) // slot.pane_ms)
            last = min(self._layout.block_ms, end_ms - slot.block_start_ms) // slot.pane_ms
            if first >= last:
                continue
            block = max(self._blocks[slot].values(), key=Block.rank)
            for index in range(first, last):
                for name, amount in zip(block.sum_names, block.panes.get(index, ()), strict=False):
                    total[name] = total.get(name, 0) + amount
        return total

    def newest_commit_ms(self) -> int:
        """Commit time of the newest change that any partition has met; 0 without any."""
        return max(
            (position.commit_ms for owners in self._positions.values() for position in owners.values()), default=0
        )

    def forget_before(self, horizon_ms: int) -> None:
        """Drop blocks that end at or before `horizon_ms`: no window reads them again."""
        over = [slot for slot in self._blocks if slot.block_start_ms + self._layout.block_ms <= horizon_ms]
        for slot in over:
            self._drop(slot)

    def _end(self, slot: Slot, generation: int) -> None:
        owners = self._blocks.get(slot, {})
        owners.pop(generation, None)
        if not owners:
            self._drop(slot)

    def _drop(self, slot: Slot) -> None:
        self._blocks.pop(slot, None)
        slots = self._slots.get(slot.series, set())
        slots.discard(slot)
        if not slots:
            self._slots.pop(slot.series, None)
