"""Panes and blocks: how time is cut; pure arithmetic on Unix milliseconds.

A pane is the smallest span that is counted apart, a block the span of panes that share one state record and expire by
one tombstone. Both are half-open on the left, (start, end], as windows are (alert-engine.md §1.4), so a window that
ends on a pane's end is exactly a run of panes. With panes of 10 s a block is an hour.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

PANES_PER_BLOCK: Final = 360
SHORTEST_PANE_MS: Final = 1_000
LONGEST_PANE_MS: Final = 10_000
_PANES_PER_WINDOW: Final = 60


@dataclass(frozen=True, slots=True)
class Layout:
    """How time is cut for one set of rules.

    Attributes:
        pane_ms: width of a pane, whole seconds.
    """

    pane_ms: int

    @property
    def block_ms(self) -> int:
        """Width of a block."""
        return self.pane_ms * PANES_PER_BLOCK

    def block_start_ms(self, at_ms: int) -> int:
        """Start (exclusive) of the block in which an instant lies."""
        return _ceil(at_ms, self.block_ms) - self.block_ms

    def pane_index(self, at_ms: int) -> int:
        """Place of an instant's pane within its block, 0 to 359."""
        return (_ceil(at_ms, self.pane_ms) - self.block_start_ms(at_ms)) // self.pane_ms - 1

    def last_end_before(self, watermark_ms: int) -> int:
        """The newest pane end that the watermark has passed."""
        return _ceil(watermark_ms, self.pane_ms) - self.pane_ms

    def whole_panes_ms(self, span_ms: int) -> int:
        """A span rounded up to whole panes."""
        return _ceil(span_ms, self.pane_ms)


def layout_for(windows_ms: Iterable[int]) -> Layout:
    """Panes fine enough for the shortest window: a sixtieth of it, in whole seconds from 1 to 10.

    A window read at a pane's end is exact whatever the width; the width only says how often rules are evaluated.
    """
    shortest = min(windows_ms, default=LONGEST_PANE_MS * _PANES_PER_WINDOW)
    seconds = shortest // _PANES_PER_WINDOW // SHORTEST_PANE_MS
    return Layout(min(LONGEST_PANE_MS, max(SHORTEST_PANE_MS, seconds * SHORTEST_PANE_MS)))


def _ceil(at_ms: int, width_ms: int) -> int:
    return -(-at_ms // width_ms) * width_ms
