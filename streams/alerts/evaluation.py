"""One tick of all rules; pure.

A tick is the end of a pane that the watermark has passed. Which ticks there are follows from the watermark alone, and
what a tick finds from the panes alone, so the alert log is a function of the change log (design.md §7).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from schemas.alert import Alert, ResolveReason
from streams.alerts.lifecycle import Phase, State, Tick, adopt_published, retire, step
from streams.alerts.memory import Memory, is_at_rest
from streams.alerts.rates import Absence, Measurement, NoData
from streams.alerts.rule import Rule, RuleSet, fingerprint_of, group_labels
from streams.windows.merge import View
from streams.windows.signals import Series


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What a tick leaves: the memory after it, and the records to publish, in order."""

    memory: Memory
    alerts: tuple[Alert, ...]


@dataclass(frozen=True, slots=True)
class Ticks:
    """The ticks that a watermark makes due.

    Attributes:
        first_ms, last_ms: pane ends, both included; none if first > last.
        skipped: the last of those that can no longer be evaluated, since their panes have expired; None if none.
    """

    first_ms: int
    last_ms: int
    skipped: int | None


def due(rules: RuleSet, tick_ms: int | None, watermark_ms: int, newest_commit_ms: int) -> Ticks:
    """Which ticks are due.

    Args:
        rules: the rules in force.
        tick_ms: the last tick evaluated; None on the very first evaluation, which takes the newest tick only.
        watermark_ms: every change committed up to here has been counted.
        newest_commit_ms: commit time of the newest change that was counted; panes expire relative to it.
    """
    pane_ms = rules.layout.pane_ms
    last_ms = rules.layout.last_end_before(watermark_ms)
    if tick_ms is None:
        return Ticks(last_ms, last_ms, None)
    complete_from_ms = newest_commit_ms - rules.retention_ms + rules.longest_window_ms
    oldest_ms = rules.layout.last_end_before(complete_from_ms) + pane_ms
    # A rule set with other panes may have left a tick that is no pane end here.
    next_ms = rules.layout.last_end_before(tick_ms + 1) + pane_ms
    if next_ms < oldest_ms <= last_ms:
        return Ticks(oldest_ms, last_ms, oldest_ms - pane_ms)
    return Ticks(next_ms, last_ms, None)


def evaluate(rules: RuleSet, view: View, memory: Memory, tick_ms: int, *, replayed: bool) -> Evaluated:
    """Evaluate every rule for every group at a tick."""
    states = dict(memory.states)
    alerts: list[Alert] = []
    for rule in rules.rules:
        for series in sorted(_groups(rule, view, memory)):
            measurement = rule.ratio.of(view.sums(series, tick_ms, rule.window_ms))
            _advance(rule, series, Tick(tick_ms, measurement, replayed), states, alerts)
    return Evaluated(Memory(tick_ms, states), tuple(alerts))


def skip_to(rules: RuleSet, memory: Memory, tick_ms: int, *, replayed: bool) -> Evaluated:
    """Pass over ticks whose panes have expired: no data, so every clock stands still for the whole gap."""
    states = dict(memory.states)
    alerts: list[Alert] = []
    for rule in rules.rules:
        for series in sorted(_remembered(rule, memory)):
            measurement: Measurement = NoData(Absence.NOT_COMPLETE)
            _advance(rule, series, Tick(tick_ms, measurement, replayed), states, alerts)
    return Evaluated(Memory(tick_ms, states), tuple(alerts))


def reconcile(rules: RuleSet, memory: Memory, published: Mapping[str, Alert]) -> Memory:
    """Catch up with records on `alerts` that are newer than the memory: their owner died before it was kept."""
    by_id = {rule.id: rule for rule in rules.rules}
    states = dict(memory.states)
    for fingerprint, alert in published.items():
        rule = by_id.get(alert.rule)
        if rule is None:
            continue
        series = _series_of(rule, alert)
        if series is not None and fingerprint_of(rule, series) == fingerprint:
            states[fingerprint] = adopt_published(states.get(fingerprint), alert, rule, series)
    return Memory(memory.tick_ms, states)


def retire_changed(rules: RuleSet, memory: Memory, at_ms: int) -> Evaluated:
    """End alerts whose rule is gone, or measures something else than when they began."""
    measures = {rule.id: rule.measure for rule in rules.rules}
    states = dict(memory.states)
    alerts: list[Alert] = []
    for fingerprint, state in memory.states.items():
        if measures.get(state.rule) == state.measure:
            continue
        reason: ResolveReason = "rule_changed" if state.rule in measures else "rule_removed"
        ended, record = retire(state, reason, max(at_ms, state.tick_ms))
        states[fingerprint] = replace(ended, measure=measures.get(state.rule, state.measure))
        if record is not None:
            alerts.append(record)
    return Evaluated(Memory(memory.tick_ms, states), tuple(alerts))


def _advance(rule: Rule, series: Series, tick: Tick, states: dict[str, State], alerts: list[Alert]) -> None:
    fingerprint = fingerprint_of(rule, series)
    state, record = step(rule, series, states.get(fingerprint), tick)
    if is_at_rest(state) and state.published is None:
        states.pop(fingerprint, None)
    else:
        states[fingerprint] = state
    if record is not None:
        alerts.append(record)


def _groups(rule: Rule, view: View, memory: Memory) -> set[Series]:
    if not rule.signal.group_by:
        return {Series(rule.signal.name)}
    return view.series_of(rule.signal.name) | _remembered(rule, memory)


def _remembered(rule: Rule, memory: Memory) -> set[Series]:
    return {
        state.series
        for state in memory.states.values()
        if state.rule == rule.id and state.phase in (Phase.PENDING, Phase.FIRING)
    }


def _series_of(rule: Rule, alert: Alert) -> Series | None:
    if any(column not in alert.labels for column in rule.signal.group_by):
        return None
    group = tuple(alert.labels[column] for column in rule.signal.group_by)
    series = Series(rule.signal.name, group)
    return series if group_labels(rule, series).items() <= alert.labels.items() else None
