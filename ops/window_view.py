"""The windows role's state, read from its changelog topics: sums per rule and series, fence, freshness, alert states.

Reads the same records in the same way as the evaluator (`streams.windows.merge`), so what is shown is what the rules
see. A series is summed at the newest pane end that every source partition has passed.
"""

from collections.abc import Iterable
from typing import Any

from ops.cluster import records
from ops.dead_letters import time_text
from ops.errors import NotFound
from ops.roles import group_id
from ops.settings_model import Settings


def _live(settings: Settings, topic: str) -> dict[bytes, bytes]:
    """The last value of every key of a changelog; partitions hold disjoint keys."""
    found: dict[bytes, bytes] = {}
    for record in records(settings, topic):
        if record is None:
            break
        if record.key is None:
            continue
        if record.value is None:
            found.pop(record.key, None)
        else:
            found[record.key] = record.value
    return found


def _changelog(settings: Settings, table: str) -> str:
    from ops.cluster import partition_counts
    from streams.windows.tables import changelog_topic

    topic = changelog_topic(group_id(settings.group_prefix, "windows"), table)
    if topic not in partition_counts(settings):
        raise NotFound(f"the topic {topic} does not exist: has ./bongsu worker windows ever run on this cluster?")
    return topic


def window_rows(items: Iterable[tuple[bytes, bytes]], speed: float, now_ms: int) -> list[dict[str, Any]]:
    """One row per rule and series. Pure: `items` is the live content of the panes Table."""
    from streams.alerts.rates import Measured
    from streams.alerts.rule import group_labels
    from streams.alerts.rules import shipped_rules
    from streams.windows.merge import View
    from streams.windows.state import Block, BlockKey, decode_block, decode_key

    rules = shipped_rules(speed)
    view = View(rules.layout)
    furthest: dict[Any, Block] = {}
    for key, value in items:
        view.apply(key, value)
        decoded = decode_key(key)
        if isinstance(decoded, BlockKey):
            block = decode_block(key, value)
            known = furthest.get(decoded.slot.series)
            if known is None or block.rank() > known.rank():
                furthest[decoded.slot.series] = block
    commit_ms = view.newest_commit_ms()
    end_ms = rules.layout.last_end_before(commit_ms) + rules.layout.pane_ms
    rows = []
    for rule in rules.rules:
        for series in sorted(view.series_of(rule.signal.name)):
            sums = view.sums(series, end_ms, rule.window_ms)
            measured = rule.ratio.of(sums)
            fence = furthest[series].fence if series in furthest else None
            rows.append(
                {
                    "rule": rule.id,
                    "labels": group_labels(rule, series),
                    "window_s": rule.window_ms / 1000,
                    "sums": sums,
                    "value": measured.value if isinstance(measured, Measured) else None,
                    "samples": measured.samples,
                    "window_end": time_text(end_ms),
                    "fence_lsn": f"{fence.lsn >> 32:X}/{fence.lsn & 0xFFFFFFFF:X}" if fence else None,
                    "fence_tx": fence.tx_id if fence else None,
                    "epoch": fence.epoch if fence else None,
                    "newest_change_age_s": max(0.0, (now_ms - commit_ms) / 1000) if commit_ms else None,
                }
            )
    return rows


def position_rows(items: Iterable[tuple[bytes, bytes]], now_ms: int) -> list[dict[str, Any]]:
    """How far each source partition was counted, by its furthest owner. Pure."""
    from streams.windows.state import Position, PositionKey, decode_key, decode_position

    furthest: dict[tuple[str, int], tuple[Position, int]] = {}
    for key, value in items:
        decoded = decode_key(key)
        if isinstance(decoded, PositionKey):
            position = decode_position(key, value)
            known = furthest.get((decoded.topic, decoded.partition))
            if known is None or position.rank() > known[0].rank():
                furthest[decoded.topic, decoded.partition] = (position, decoded.generation)
    return [
        {
            "topic": topic,
            "partition": partition,
            "next_offset": position.next_offset,
            "generation": generation,
            "newest_change": time_text(position.commit_ms) if position.commit_ms else None,
            "age_s": max(0.0, (now_ms - position.commit_ms) / 1000) if position.commit_ms else None,
        }
        for (topic, partition), (position, generation) in sorted(furthest.items())
    ]


def alert_rows(items: Iterable[tuple[bytes, bytes]]) -> list[dict[str, Any]]:
    """The evaluator's memory: one row per alert that is or was not at rest. Pure."""
    from streams.alerts.memory import read_memory

    memory = read_memory(items)
    return [
        {
            "fingerprint": fingerprint,
            "rule": state.rule,
            "group": list(state.series.group),
            "phase": str(state.phase),
            "severity": state.published.severity if state.published else None,
            "active_since": time_text(state.active_at_ms) if state.active_at_ms is not None else None,
            "no_data": state.no_data,
            "evaluated": time_text(state.tick_ms),
            "generation": state.generation,
        }
        for fingerprint, state in sorted(memory.states.items())
    ]


def read(settings: Settings, now_ms: int) -> dict[str, list[dict[str, Any]]]:
    """Windows, positions and alert states as they are now. Raises NotFound, DependencyUnavailable."""
    from streams.windows.tables import ALERTS_TABLE, PANES_TABLE

    panes = list(_live(settings, _changelog(settings, PANES_TABLE)).items())
    states = list(_live(settings, _changelog(settings, ALERTS_TABLE)).items())
    return {
        "windows": window_rows(panes, settings.alert_speed, now_ms),
        "positions": position_rows(panes, now_ms),
        "alerts": alert_rows(states),
    }
