"""The windows role's state as an operator sees it, from records as the role writes them."""

from ops.window_view import alert_rows, position_rows, window_rows
from streams.alerts.lifecycle import State
from streams.alerts.memory import encode_state
from streams.alerts.rules import shipped_rules
from streams.windows.fence import Fence
from streams.windows.signals import Series
from streams.windows.state import (
    Block,
    BlockKey,
    Position,
    PositionKey,
    Slot,
    encode_block,
    encode_key,
    encode_position,
)

LAYOUT = shipped_rules().layout
NOW_MS = 1_771_556_640_000
TOPIC = "cdc.public.push_message_logs"


def fence(lsn):
    return Fence("1-1", (), 0, lsn - 1, 77, lsn, frozenset({"1"}))


def block(partition, delivered, attempted, lsn=0x16_0000_0100, generation=1):
    rule = next(rule for rule in shipped_rules().rules if rule.id == "push_delivered_ratio")
    at_ms = NOW_MS - 60_000
    slot = Slot(TOPIC, partition, Series("push_outcomes"), LAYOUT.pane_ms, LAYOUT.block_start_ms(at_ms))
    amounts = {"attempted": attempted, "delivered": delivered}
    panes = {LAYOUT.pane_index(at_ms): [amounts[name] for name in rule.signal.sum_names]}
    value = Block(rule.signal.sum_names, fence(lsn), 10, panes)
    return encode_key(BlockKey(slot, generation)), encode_block(value)


def position(partition, next_offset, commit_ms=NOW_MS, generation=1):
    key = encode_key(PositionKey(TOPIC, partition, generation))
    return key, encode_position(Position(next_offset, commit_ms, fence(5)))


def test_sums_go_over_source_partitions_and_give_the_rules_value():
    items = [block(0, 30, 40), block(1, 10, 40), position(0, 10)]
    (row,) = window_rows(items, 1.0, NOW_MS + 2_000)
    assert row["rule"] == "push_delivered_ratio"
    assert row["sums"] == {"attempted": 80, "delivered": 40}
    assert (row["value"], row["samples"]) == (0.5, 80)
    assert row["window_s"] == 900
    assert row["fence_lsn"] == "16/100"
    assert row["newest_change_age_s"] == 2.0


def test_of_two_owners_the_furthest_counts():
    items = [block(0, 1, 40, lsn=100, generation=1), block(0, 30, 40, lsn=200, generation=2), position(0, 10)]
    (row,) = window_rows(items, 1.0, NOW_MS)
    assert row["sums"]["delivered"] == 30


def test_too_few_samples_give_no_value():
    (row,) = window_rows([block(0, 1, 2), position(0, 10)], 1.0, NOW_MS)
    assert (row["value"], row["samples"]) == (None, 2)


def test_without_state_there_is_nothing_to_show():
    assert window_rows([], 1.0, NOW_MS) == []
    assert position_rows([], NOW_MS) == []
    assert alert_rows([]) == []


def test_positions_are_those_of_the_furthest_owner():
    rows = position_rows([position(1, 5), position(0, 9, generation=1), position(0, 12, generation=2)], NOW_MS + 500)
    assert [(row["partition"], row["next_offset"], row["generation"]) for row in rows] == [(0, 12, 2), (1, 5, 1)]
    assert rows[0]["age_s"] == 0.5


def test_alert_states_are_the_evaluators_memory():
    state = State("push_delivered_ratio", Series("push_outcomes"), "m", NOW_MS, active_at_ms=NOW_MS - 1_000)
    (row,) = alert_rows([(b"fp", encode_state(state))])
    assert (row["fingerprint"], row["phase"], row["severity"]) == ("fp", "pending", None)
    assert row["active_since"].endswith("Z")
