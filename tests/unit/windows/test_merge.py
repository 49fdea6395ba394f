import pytest

from streams.windows.fence import Fence
from streams.windows.merge import View
from streams.windows.panes import Layout
from streams.windows.signals import Series
from streams.windows.state import (
    Block,
    BlockKey,
    Position,
    PositionKey,
    Slot,
    StateUnreadable,
    encode_block,
    encode_key,
    encode_position,
)

LAYOUT = Layout(1_000)
SERIES = Series("s", ("g",))
TOPIC = "cdc.public.t"


@pytest.fixture
def view():
    return View(LAYOUT)


def fence(previous):
    return Fence("7-1", (), 0, previous, previous, previous, frozenset(("1",)))


def block_key(partition=0, generation=1, start_ms=0, pane_ms=1_000):
    return encode_key(BlockKey(Slot(TOPIC, partition, SERIES, pane_ms, start_ms), generation))


def block(amount, previous=1, panes=(0,)):
    return encode_block(Block(("n",), fence(previous), 1, {pane: [amount] for pane in panes}))


def position_key(partition=0, generation=1):
    return encode_key(PositionKey(TOPIC, partition, generation))


def test_partitions_are_summed_and_windows_leave_out_their_start(view):
    view.apply(block_key(0), block(1, panes=(0, 1, 2)))
    view.apply(block_key(1), block(10, panes=(1,)))
    assert view.sums(SERIES, 2_000, 2_000) == {"n": 12}
    assert view.sums(SERIES, 3_000, 1_000) == {"n": 1}
    assert view.sums(SERIES, 9_000, 1_000) == {}


def test_a_window_runs_over_blocks(view):
    view.apply(block_key(start_ms=0), block(1, panes=(358, 359)))
    view.apply(block_key(start_ms=360_000), block(10, panes=(0, 1)))
    assert view.sums(SERIES, 361_000, 2_000) == {"n": 11}


def test_the_highest_fence_counts_whoever_wrote_it_and_whenever(view):
    view.apply(block_key(generation=6), block(50, previous=9))
    view.apply(block_key(generation=5), block(40, previous=8))
    assert view.sums(SERIES, 1_000, 1_000) == {"n": 50}
    view.apply(block_key(generation=6), None)
    assert view.sums(SERIES, 1_000, 1_000) == {"n": 40}
    view.apply(block_key(generation=5), None)
    assert view.series_of("s") == set()


def test_blocks_cut_otherwise_are_another_rule_sets(view):
    view.apply(block_key(pane_ms=10_000), block(1))
    assert view.series_of("s") == set()


def test_positions_are_the_furthest_owners(view):
    view.apply(position_key(generation=6), encode_position(Position(100)))
    view.apply(position_key(generation=5), encode_position(Position(70)))
    assert view.position(TOPIC, 0).next_offset == 100
    assert view.position(TOPIC, 1).next_offset == 0


def test_the_view_has_reached_a_watermark_when_every_partition_has(view):
    ends = {TOPIC: (10, 0, 5)}
    view.apply(position_key(0), encode_position(Position(10)))
    assert not view.has_reached(ends, (TOPIC,))
    view.apply(position_key(2), encode_position(Position(5)))
    assert view.has_reached(ends, (TOPIC,))
    assert view.has_reached({}, (TOPIC,)), "a topic that is not captured holds nobody up"


def test_what_retention_took_is_not_waited_for(view):
    view.raise_floors({(TOPIC, 0): 10})
    assert view.has_reached({TOPIC: (10,)}, (TOPIC,))
    assert not view.has_reached({TOPIC: (11,)}, (TOPIC,))


def test_old_blocks_are_forgotten(view):
    view.apply(block_key(start_ms=0), block(1))
    view.apply(block_key(start_ms=360_000), block(1))
    view.forget_before(360_000)
    assert view.sums(SERIES, 1_000, 1_000) == {}
    assert view.sums(SERIES, 361_000, 1_000) == {"n": 1}
    view.clear()
    assert view.series_of("s") == set()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"x", b"{}"),
        (b'["block",9,"t",0]', b"{}"),
        (block_key(), b"x"),
        (block_key(), b'{"v":1}'),
        (position_key(), b"[]"),
    ],
)
def test_what_cannot_be_read_is_said_and_not_passed_over(view, key, value):
    with pytest.raises(StateUnreadable):
        view.apply(key, value)
