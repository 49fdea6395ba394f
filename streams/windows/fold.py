"""Phase one's decision: a batch of changes becomes writes to the panes Table; pure.

`Owned` is what one owner of a source partition knows of it, gathered from the Table when the partition was assigned.
`fold` counts a batch into copies; the caller writes the result to the Table and only then calls `Owned.settle`, so a
batch that fails half-way leaves no trace here and is judged anew.

The position's fence judges what no block can: a change whose block has expired, delivered again. Since the position is
written after the blocks of its batch, in the same changelog partition, it is never ahead of them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, assert_never

from streams.windows.fence import Blind, Fence, Fresh, Incomparable, Mark, Seen, Verdict, judge
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
    encode_block,
    encode_key,
    encode_position,
)

FRESH: Final = "fresh"


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one change adds to one series, in the order of the signal's sums."""

    series: Series
    sum_names: tuple[str, ...]
    amounts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Counted:
    """One change, ready to be counted.

    Attributes:
        offset: its offset in the source partition.
        commit_ms: commit time.
        mark: its place in the source's log.
        contributions: one for each signal that reads its table.
    """

    offset: int
    commit_ms: int
    mark: Mark
    contributions: tuple[Contribution, ...]


@dataclass(frozen=True, slots=True)
class Folded:
    """What a batch does to the Table, in this order: writes, the position, deletes.

    Attributes:
        writes: key and value, one for each touched block.
        position: the new position.
        position_write: its key and value, to be written after the blocks.
        deletes: keys to end with a tombstone: superseded owners' records and expired blocks.
        outcomes: how many contributions were fresh, or repeated and by which comparison.
        blind: offsets of changes that could not be compared, and why.
        blocks: the touched blocks.
        expired: slots that were deleted.
        swept_ms: blocks up to here have been expired.
    """

    writes: tuple[tuple[bytes, bytes], ...]
    position: Position
    position_write: tuple[bytes, bytes]
    deletes: tuple[bytes, ...]
    outcomes: Mapping[str, int]
    blind: Mapping[int, Blind]
    blocks: Mapping[Slot, Block]
    expired: tuple[Slot, ...]
    swept_ms: int


@dataclass(slots=True)
class Owned:
    """What the owner of one source partition holds.

    Attributes:
        topic, partition, generation: whose and since when.
        position: how far it was processed.
        blocks: the furthest record of each slot.
        keys: the Table's keys that fill a slot (several where former owners' records remain).
        position_keys: the Table's keys that hold positions.
        swept_ms: blocks up to here have been expired.
    """

    topic: str
    partition: int
    generation: int
    position: Position = field(default_factory=lambda: Position(0))
    blocks: dict[Slot, Block] = field(default_factory=dict)
    keys: dict[Slot, set[bytes]] = field(default_factory=dict)
    position_keys: set[bytes] = field(default_factory=set)
    swept_ms: int = 0

    def settle(self, folded: Folded) -> None:
        """Take over a batch's result once the Table holds it."""
        for (key, _), (slot, block) in zip(folded.writes, folded.blocks.items(), strict=True):
            self.blocks[slot] = block
            self.keys[slot] = {key}
        for slot in folded.expired:
            self.blocks.pop(slot, None)
            self.keys.pop(slot, None)
        self.position = folded.position
        self.position_keys = {folded.position_write[0]}
        self.swept_ms = folded.swept_ms


def adopt(topic: str, partition: int, generation: int, items: Iterable[tuple[bytes, bytes]]) -> Owned:
    """Gather a source partition's state from the Table, of each slot the record with the highest fence.

    Args:
        topic: source topic.
        partition: source partition.
        generation: the consumer group's generation in which this owner writes.
        items: the Table's keys and values; those of other partitions are passed over.

    Raises:
        StateUnreadable: a record is not of this release's version.
    """
    owned = Owned(topic, partition, generation)
    best: Position | None = None
    for key, value in items:
        match decode_key(key):
            case PositionKey(topic=of, partition=number) if (of, number) == (topic, partition):
                owned.position_keys.add(key)
                position = decode_position(key, value)
                best = position if best is None or position.rank() > best.rank() else best
            case BlockKey(slot=slot) if (slot.topic, slot.partition) == (topic, partition):
                owned.keys.setdefault(slot, set()).add(key)
                block, known = decode_block(key, value), owned.blocks.get(slot)
                if known is None or block.rank() > known.rank():
                    owned.blocks[slot] = block
            case _:
                continue
    if best is not None:
        owned.position = best
    return owned


def fold(owned: Owned, layout: Layout, retention_ms: int, changes: Sequence[Counted], next_offset: int) -> Folded:
    """Count a batch.

    Args:
        owned: the partition's state; not changed.
        layout: how time is cut.
        retention_ms: blocks that end this long before the batch's last commit expire.
        changes: the batch's inserted rows, in offset order.
        next_offset: offset after the batch's last record, counted or not.
    """
    folding = _Folding(owned, layout)
    passed = owned.position.fence
    for change in changes:
        verdict = judge(passed, change.mark)
        if isinstance(verdict, Incomparable):
            folding.blind[change.offset] = verdict.why
            continue
        for contribution in change.contributions:
            folding.count(change, contribution, verdict)
        if isinstance(verdict, Fresh):
            passed = verdict.fence
    return folding.result(_position(owned, changes, next_offset, passed), retention_ms)


@dataclass(slots=True)
class _Folding:
    owned: Owned
    layout: Layout
    touched: dict[Slot, Block] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    blind: dict[int, Blind] = field(default_factory=dict)

    def count(self, change: Counted, contribution: Contribution, by_position: Verdict) -> None:
        slot = self._slot(change, contribution)
        block = self.touched.get(slot) or _opened(self.owned.blocks.get(slot), contribution.sum_names)
        verdict = by_position if block.fence is None else judge(block.fence, change.mark)
        match verdict:
            case Fresh(fence=fence):
                # A new block takes the partition's fence, so that it knows the epochs left, but only its own row's key.
                block.fence = replace(fence, keys=frozenset((change.mark.key,))) if block.fence is None else fence
                block.add(self.layout.pane_index(change.commit_ms), contribution.amounts)
                block.next_offset = change.offset + 1
                self.touched[slot] = block
                self.outcomes[FRESH] += 1
            case Seen(by=by):
                self.outcomes[f"repeated_{by.value}"] += 1
            case Incomparable(why=why):
                self.blind[change.offset] = why
            case _:
                assert_never(verdict)

    def _slot(self, change: Counted, contribution: Contribution) -> Slot:
        return Slot(
            self.owned.topic,
            self.owned.partition,
            contribution.series,
            self.layout.pane_ms,
            self.layout.block_start_ms(change.commit_ms),
        )

    def result(self, position: Position, retention_ms: int) -> Folded:
        owned, horizon_ms = self.owned, position.commit_ms - retention_ms
        keys = {slot: encode_key(BlockKey(slot, owned.generation)) for slot in self.touched}
        position_key = encode_key(PositionKey(owned.topic, owned.partition, owned.generation))
        expired = self._expired(horizon_ms)
        superseded = {key for slot, written in keys.items() for key in owned.keys.get(slot, ()) if key != written}
        ended = {key for slot in expired for key in owned.keys.get(slot, ())}
        return Folded(
            writes=tuple((keys[slot], encode_block(block)) for slot, block in self.touched.items()),
            position=position,
            position_write=(position_key, encode_position(position)),
            deletes=tuple(sorted(superseded | ended | (owned.position_keys - {position_key}))),
            outcomes=dict(self.outcomes),
            blind=self.blind,
            blocks=self.touched,
            expired=expired,
            swept_ms=max(owned.swept_ms, self.layout.block_start_ms(horizon_ms)),
        )

    def _expired(self, horizon_ms: int) -> tuple[Slot, ...]:
        # Looked for once per block's length, not with every batch.
        if self.layout.block_start_ms(horizon_ms) <= self.owned.swept_ms:
            return ()
        return tuple(
            slot
            for slot in self.owned.blocks
            if slot not in self.touched and Layout(slot.pane_ms).block_ms + slot.block_start_ms <= horizon_ms
        )


def _opened(block: Block | None, sum_names: tuple[str, ...]) -> Block:
    if block is None:
        return Block(sum_names)
    if block.sum_names == sum_names:
        return block.copy()
    places = [block.sum_names.index(name) if name in block.sum_names else None for name in sum_names]
    panes = {index: [0 if place is None else sums[place] for place in places] for index, sums in block.panes.items()}
    return Block(sum_names, block.fence, block.next_offset, panes)


def _position(owned: Owned, changes: Sequence[Counted], next_offset: int, fence: Fence | None) -> Position:
    commit_ms = changes[-1].commit_ms if changes else owned.position.commit_ms
    if fence is None or owned.position.fence is None or fence.epochs_left == owned.position.fence.epochs_left:
        # A batch delivered again must not move the position back.
        next_offset = max(next_offset, owned.position.next_offset)
    return Position(next_offset, commit_ms, fence)
