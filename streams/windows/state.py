"""The state that phase one keeps, and its bytes; pure.

Two kinds of record live in the panes Table, both per source partition: a block (one series, one span of 360 panes) and
the position (how far the partition was processed). Keys and values are JSON made here, not by Faust's serialisers, so
that phase two reads from the changelog exactly what phase one wrote. Values are absolute, never increments: writing
one twice changes nothing.

A key carries the owner's generation (of the consumer group), so that an owner that was frozen and writes late cannot
overwrite its successor's record: both are found, and the one with the highest fence counts (design.md §7).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from streams.windows import fence as fences
from streams.windows.fence import Fence, Rank, rank
from streams.windows.signals import Series

VERSION: Final = 1
"""Version of keys and values; a reader refuses a higher one."""

_BLOCK: Final = "block"
_POSITION: Final = "position"


class StateUnreadable(Exception):
    """A record of the panes Table cannot be read: written by a newer release, or not by Bongsu.

    Attributes:
        key: the record's key.
        detail: what is wrong with it.
    """

    def __init__(self, key: bytes, detail: str) -> None:
        super().__init__(f"the window state under key {key!r} cannot be read: {detail}")
        self.key = key
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Slot:
    """Which block: the place that at most one record per owner's generation fills."""

    topic: str
    partition: int
    series: Series
    pane_ms: int
    block_start_ms: int


@dataclass(frozen=True, slots=True)
class BlockKey:
    """Key of a block."""

    slot: Slot
    generation: int


@dataclass(frozen=True, slots=True)
class PositionKey:
    """Key of a source partition's position."""

    topic: str
    partition: int
    generation: int


@dataclass(slots=True)
class Block:
    """Counts of one series in one span, with the fence up to which they are complete.

    Attributes:
        sum_names: names of the sums, in the order of each pane's list.
        fence: the last change counted; None before the first.
        next_offset: offset after the last record that touched this block.
        panes: pane index to sums; panes without a change are absent.
    """

    sum_names: tuple[str, ...]
    fence: Fence | None = None
    next_offset: int = 0
    panes: dict[int, list[int]] = field(default_factory=dict)

    def copy(self) -> "Block":
        """An independent copy, to be changed while the original stays what the Table holds."""
        panes = {index: list(sums) for index, sums in self.panes.items()}
        return Block(self.sum_names, self.fence, self.next_offset, panes)

    def add(self, pane_index: int, amounts: tuple[int, ...]) -> None:
        """Add a change's amounts to its pane."""
        sums = self.panes.get(pane_index)
        if sums is None:
            self.panes[pane_index] = list(amounts)
        else:
            for index, amount in enumerate(amounts):
                sums[index] += amount

    def rank(self) -> tuple[Rank, int]:
        """Which of two owners' records of one slot is further: the higher one."""
        return (rank(self.fence), self.next_offset)


@dataclass(frozen=True, slots=True)
class Position:
    """How far phase one has processed a source partition; written after the blocks of the same batch.

    Attributes:
        next_offset: offset of the next record to process.
        commit_ms: commit time of the last change met; 0 before the first.
        fence: the last change met, over all series.
    """

    next_offset: int
    commit_ms: int = 0
    fence: Fence | None = None

    def rank(self) -> tuple[int, int]:
        """Which of two owners' positions is further: epochs first, since offsets restart with a topic made anew."""
        return (self.fence.epochs_left if self.fence else -1, self.next_offset)


def encode_key(key: BlockKey | PositionKey) -> bytes:
    """A record's key in the Table and in its changelog."""
    if isinstance(key, PositionKey):
        return orjson.dumps([_POSITION, VERSION, key.topic, key.partition, key.generation])
    slot = key.slot
    return orjson.dumps(
        [
            _BLOCK,
            VERSION,
            slot.topic,
            slot.partition,
            slot.series.signal,
            slot.series.group,
            slot.pane_ms,
            slot.block_start_ms,
            key.generation,
        ]
    )


def decode_key(key: bytes) -> BlockKey | PositionKey:
    """The inverse of `encode_key`.

    Raises:
        StateUnreadable: the bytes are no key of this version.
    """
    try:
        kind, version, topic, partition, *rest = orjson.loads(key)
        if version == VERSION and kind == _POSITION:
            return PositionKey(topic, partition, *rest)
        if version == VERSION and kind == _BLOCK:
            signal, group, pane_ms, block_start_ms, generation = rest
            return BlockKey(Slot(topic, partition, Series(signal, tuple(group)), pane_ms, block_start_ms), generation)
    except (ValueError, TypeError) as error:
        raise StateUnreadable(key, f"not a key of the panes Table: {error}") from error
    raise StateUnreadable(key, f"kind {kind!r} of version {version!r}; this release reads version {VERSION}")


def encode_block(block: Block) -> bytes:
    """A block's value."""
    return orjson.dumps(
        {
            "v": VERSION,
            "sums": block.sum_names,
            "fence": fences.to_record(block.fence),
            "next_offset": block.next_offset,
            "panes": {str(index): sums for index, sums in block.panes.items()},
        }
    )


def decode_block(key: bytes, value: bytes) -> Block:
    """The inverse of `encode_block`.

    Raises:
        StateUnreadable: the bytes are no block of this version.
    """
    record = _versioned(key, value)
    try:
        panes = {int(index): list(sums) for index, sums in record["panes"].items()}
        return Block(tuple(record["sums"]), fences.from_record(record["fence"]), record["next_offset"], panes)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StateUnreadable(key, f"not a block: {error!r}") from error


def encode_position(position: Position) -> bytes:
    """A position's value."""
    return orjson.dumps(
        {
            "v": VERSION,
            "next_offset": position.next_offset,
            "commit_ms": position.commit_ms,
            "fence": fences.to_record(position.fence),
        }
    )


def decode_position(key: bytes, value: bytes) -> Position:
    """The inverse of `encode_position`.

    Raises:
        StateUnreadable: the bytes are no position of this version.
    """
    record = _versioned(key, value)
    try:
        return Position(record["next_offset"], record["commit_ms"], fences.from_record(record["fence"]))
    except (KeyError, TypeError) as error:
        raise StateUnreadable(key, f"not a position: {error!r}") from error


def _versioned(key: bytes, value: bytes) -> Mapping[str, Any]:
    try:
        record = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise StateUnreadable(key, f"not JSON: {error}") from error
    if not isinstance(record, dict) or record.get("v") != VERSION:
        raise StateUnreadable(key, f"this release reads version {VERSION}")
    return record
