"""The life of an alert: one pure step per tick (alert-engine.md §2).

    inactive --condition true--> pending --held for `for`--> firing --resolve condition held--> resolved

- Each level has its own clock of `for`; the highest level whose clock has run is the alert's severity, and it rises and
  falls within one episode: same id and startsAt, a new generation.
- A level that has fired falls only after its condition was false for the resolve hold, so that noise at a threshold
  makes one change per hold, as noise at the boundary of firing does.
- No data holds everything: all clocks stand still, nothing fires, nothing resolves.
- Nothing is published for pending.

Invariant: a tick that is not after the state's own changes nothing, so evaluating a tick twice publishes nothing twice,
and the same state and tick always give the same record.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from schemas.alert import Alert, ResolveReason, Severity
from streams.alerts.rates import Measured, Measurement, NoData
from streams.alerts.rule import SEVERITIES, Level, Rule, episode_id, fingerprint_of, group_labels
from streams.windows.signals import Series


class Phase(StrEnum):
    """Where an alert stands."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Clock:
    """One level's clock.

    Attributes:
        true_since_ms: since when its condition holds, moved on by the time without data.
        false_since_ms: since when a level that has fired does not hold, moved on likewise.
        fired: its condition has held for `for`, and not failed for the resolve hold since.
    """

    true_since_ms: int | None = None
    false_since_ms: int | None = None
    fired: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """What is remembered of one rule and group.

    Attributes:
        rule, series, measure: whose it is, and what was measured.
        tick_ms: the last tick evaluated.
        active_at_ms: when the condition first held; None while it does not and nothing fires.
        clear_since_ms: since when the resolve condition holds, moved on by the time without data.
        clocks: severity to clock.
        published: the last record published; carries id, startsAt, severity and generation.
        no_data: the last tick had no data.
    """

    rule: str
    series: Series
    measure: str
    tick_ms: int
    active_at_ms: int | None = None
    clear_since_ms: int | None = None
    clocks: Mapping[Severity, Clock] = field(default_factory=dict)
    published: Alert | None = None
    no_data: bool = False

    @property
    def phase(self) -> Phase:
        """Where the alert stands."""
        if self.published is not None and self.published.status == "firing":
            return Phase.FIRING
        if self.active_at_ms is not None:
            return Phase.PENDING
        return Phase.INACTIVE if self.published is None else Phase.RESOLVED

    @property
    def generation(self) -> int:
        """Generation of the last record published; 0 before the first."""
        return 0 if self.published is None else self.published.generation


@dataclass(frozen=True, slots=True)
class Tick:
    """One evaluation of one series.

    Attributes:
        at_ms: event time: the end of a pane.
        measurement: what was measured over (at - window, at].
        replayed: the watermark is far behind the clock: history is being caught up.
    """

    at_ms: int
    measurement: Measurement
    replayed: bool = False


def step(rule: Rule, series: Series, state: State | None, tick: Tick) -> tuple[State, Alert | None]:
    """Take one tick.

    Args:
        rule: the rule in force.
        series: the group that was measured.
        state: what is remembered; None for a group that is new.
        tick: what was measured.

    Returns:
        what to remember, and the record to publish if something changed.
    """
    if state is None:
        state = State(rule.id, series, rule.measure, tick.at_ms - 1)
    if tick.at_ms <= state.tick_ms:
        return state, None
    match tick.measurement:
        case NoData():
            return _hold(rule, state, tick)
        case Measured(value=value):
            return _judge(rule, replace(state, no_data=False), tick, value)


def retire(state: State, reason: ResolveReason, at_ms: int) -> tuple[State, Alert | None]:
    """End an alert whose rule is gone or measures something else now; a record only if it was firing."""
    ended = replace(state, tick_ms=at_ms, active_at_ms=None, clear_since_ms=None, clocks={})
    if state.published is None or state.phase is not Phase.FIRING:
        return ended, None
    record = replace(
        state.published,
        status="resolved",
        generation=state.generation + 1,
        ends_at_ms=at_ms,
        updated_at_ms=at_ms,
        resolve_reason=reason,
    )
    return replace(ended, published=record), record


def adopt_published(state: State | None, published: Alert, rule: Rule, series: Series) -> State:
    """Catch up with a record that was published but whose state was not kept: the owner died in between.

    Args:
        state: what the Table holds; None if nothing.
        published: the newest record of this fingerprint on `alerts`.
        rule: the rule in force.
        series: the group.
    """
    if state is not None and state.generation >= published.generation:
        return state
    firing = published.status == "firing"
    return State(
        rule=rule.id,
        series=series,
        measure=rule.measure if state is None else state.measure,
        tick_ms=max(published.updated_at_ms, state.tick_ms if state else 0),
        active_at_ms=published.active_at_ms if firing else None,
        clocks={published.severity: Clock(published.severity_since_ms, None, fired=True)} if firing else {},
        published=published,
    )


def _hold(rule: Rule, state: State, tick: Tick) -> tuple[State, Alert | None]:
    gap_ms = tick.at_ms - state.tick_ms
    held = replace(
        state,
        tick_ms=tick.at_ms,
        no_data=True,
        clear_since_ms=_moved(state.clear_since_ms, gap_ms),
        clocks={
            severity: replace(
                clock,
                true_since_ms=_moved(clock.true_since_ms, gap_ms),
                false_since_ms=_moved(clock.false_since_ms, gap_ms),
            )
            for severity, clock in state.clocks.items()
        },
    )
    if _to_announce(held, tick):
        assert held.published is not None
        return _publish(rule, held, tick, held.published.severity, held.published.value)
    return held, None


def _moved(since_ms: int | None, gap_ms: int) -> int | None:
    return None if since_ms is None else since_ms + gap_ms


def _judge(rule: Rule, state: State, tick: Tick, value: float) -> tuple[State, Alert | None]:
    clocks = {level.severity: _wind(level, rule, state, tick.at_ms, value) for level in rule.levels}
    any_true = any(clock.true_since_ms is not None for clock in clocks.values())
    firing = state.phase is Phase.FIRING
    clear_since_ms = None
    if firing and rule.resolve.holds(value):
        clear_since_ms = tick.at_ms if state.clear_since_ms is None else state.clear_since_ms
    active_at_ms = state.active_at_ms
    if active_at_ms is None and any_true:
        active_at_ms = tick.at_ms
    elif not any_true and not firing:
        active_at_ms = None
    wound = replace(state, tick_ms=tick.at_ms, clocks=clocks, active_at_ms=active_at_ms, clear_since_ms=clear_since_ms)
    if clear_since_ms is not None and tick.at_ms - clear_since_ms >= rule.hold_ms:
        return _resolve(rule, wound, tick, value)
    fired = [severity for severity in SEVERITIES if severity in clocks and clocks[severity].fired]
    if not fired and not firing:
        return wound, None
    severity = fired[-1] if fired else rule.levels[0].severity
    if state.published is None or not firing or state.published.severity != severity or _to_announce(wound, tick):
        return _publish(rule, wound, tick, severity, value)
    return wound, None


def _wind(level: Level, rule: Rule, state: State, at_ms: int, value: float) -> Clock:
    clock = state.clocks.get(level.severity, Clock())
    if level.condition.holds(value):
        since_ms = at_ms if clock.true_since_ms is None else clock.true_since_ms
        return Clock(since_ms, None, clock.fired or at_ms - since_ms >= level.for_ms)
    if not clock.fired:
        return Clock()
    false_since_ms = at_ms if clock.false_since_ms is None else clock.false_since_ms
    if at_ms - false_since_ms >= rule.hold_ms:
        return Clock()
    return Clock(None, false_since_ms, fired=True)


def _to_announce(state: State, tick: Tick) -> bool:
    # Closed history is not notified; an alert that still fires when the present is reached is, once.
    return (
        state.phase is Phase.FIRING and not tick.replayed and state.published is not None and state.published.replayed
    )


def _publish(
    rule: Rule, state: State, tick: Tick, severity: Severity, value: float | None
) -> tuple[State, Alert | None]:
    level = rule.level(severity)
    before = state.published if state.phase is Phase.FIRING else None
    starts_at_ms = tick.at_ms if before is None else before.starts_at_ms
    fingerprint = fingerprint_of(rule, state.series)
    assert state.active_at_ms is not None, "an alert fires only after its condition held"
    record = Alert(
        id=episode_id(fingerprint, starts_at_ms),
        fingerprint=fingerprint,
        generation=state.generation + 1,
        rule=rule.id,
        rule_version=rule.version,
        name=rule.name,
        status="firing",
        severity=severity,
        priority=level.priority,
        active_at_ms=state.active_at_ms,
        starts_at_ms=starts_at_ms,
        severity_since_ms=(tick.at_ms if before is None or before.severity != severity else before.severity_since_ms),
        updated_at_ms=tick.at_ms,
        op=level.condition.op,
        unit=rule.unit,
        value=value,
        threshold=level.condition.value,
        samples=tick.measurement.samples,
        window_start_ms=tick.at_ms - rule.window_ms,
        window_end_ms=tick.at_ms,
        no_data=state.no_data,
        replayed=tick.replayed,
        labels=_labels(rule, state.series, level),
        annotations=dict(rule.annotations),
    )
    return replace(state, published=record), record


def _labels(rule: Rule, series: Series, level: Level) -> dict[str, str]:
    return {
        **group_labels(rule, series),
        "rule": rule.id,
        "severity": level.severity,
        "page": "true" if level.severity == "critical" else "false",
        "priority": level.priority,
    }


def _resolve(rule: Rule, state: State, tick: Tick, value: float) -> tuple[State, Alert | None]:
    assert state.published is not None, "only what was published as firing resolves"
    record = replace(
        state.published,
        status="resolved",
        generation=state.generation + 1,
        ends_at_ms=tick.at_ms,
        updated_at_ms=tick.at_ms,
        resolve_reason="condition",
        value=value,
        samples=tick.measurement.samples,
        window_start_ms=tick.at_ms - rule.window_ms,
        window_end_ms=tick.at_ms,
        no_data=False,
        replayed=tick.replayed,
    )
    return replace(state, active_at_ms=None, clear_since_ms=None, clocks={}, published=record), record
