from dataclasses import replace

import pytest

from schemas.alert import Alert
from streams.alerts.lifecycle import Phase, Tick, adopt_published, retire, step
from streams.alerts.memory import encode_state, read_memory
from streams.alerts.rates import Absence, Measured, NoData
from streams.alerts.rule import Condition, episode_id, fingerprint_of
from streams.alerts.rules import shipped_rules
from streams.windows.signals import Series

PUSH, DISPATCH = shipped_rules().rules
SERIES = Series("push_outcomes")
MINUTE_MS = 60_000
START_MS = 1_700_000_000_000
NOTHING = NoData(Absence.TOO_FEW_SAMPLES, 3)


def run(*measured, rule=PUSH, series=SERIES, state=None, step_ms=MINUTE_MS, start_ms=START_MS, replayed=False):
    """One tick a minute; numbers are ratios, None is no data."""
    records = []
    for place, value in enumerate(measured):
        measurement = NOTHING if value is None else Measured(value, 100)
        state, record = step(rule, series, state, Tick(start_ms + place * step_ms, measurement, replayed))
        records += [record] if record else []
    return state, records


def timed(rule, **for_ms):
    return replace(rule, levels=tuple(replace(level, for_ms=for_ms[level.severity]) for level in rule.levels))


@pytest.mark.parametrize(
    ("op", "holds"),
    [
        ("<", (True, False, False)),
        ("<=", (True, True, False)),
        (">", (False, False, True)),
        (">=", (False, True, True)),
    ],
)
def test_operators_are_strict_as_written(op, holds):
    assert tuple(Condition(op, 0.9).holds(value) for value in (0.8, 0.9, 1.0)) == holds


def test_it_fires_with_everything_a_reader_needs():
    state, (alert,) = run(0.85)
    assert state.phase is Phase.FIRING
    assert alert == Alert(
        id=episode_id(alert.fingerprint, START_MS),
        fingerprint=fingerprint_of(PUSH, SERIES),
        generation=1,
        rule="push_delivered_ratio",
        rule_version=PUSH.version,
        name="연속 실패율",
        status="firing",
        severity="warning",
        priority="P2",
        active_at_ms=START_MS,
        starts_at_ms=START_MS,
        severity_since_ms=START_MS,
        updated_at_ms=START_MS,
        op="<",
        unit="ratio",
        value=0.85,
        threshold=0.9,
        samples=100,
        window_start_ms=START_MS - 15 * MINUTE_MS,
        window_end_ms=START_MS,
        labels={"rule": "push_delivered_ratio", "severity": "warning", "page": "false", "priority": "P2"},
        annotations=PUSH.annotations,
    )


def test_exactly_the_threshold_does_not_fire():
    assert run(0.90)[1] == []
    assert [alert.severity for alert in run(0.80)[1]] == ["warning"]
    _, records = run(0.10, rule=DISPATCH, series=Series("dispatch_outcomes", ("POSTHOG",)))
    assert [alert.severity for alert in records] == ["warning"]
    assert records[0].labels["dispatch_target"] == "POSTHOG"


def test_critical_supersedes_within_the_episode_and_falls_after_the_hold():
    _, records = run(0.85, 0.5, 0.85, 0.85, 0.85, 0.85, 0.85, 0.85, 0.85)
    assert [(alert.status, alert.severity, alert.generation) for alert in records] == [
        ("firing", "warning", 1),
        ("firing", "critical", 2),
        ("firing", "warning", 3),
    ]
    assert len({(alert.id, alert.starts_at_ms, alert.fingerprint) for alert in records}) == 1
    assert [(alert.severity_since_ms - START_MS) // MINUTE_MS for alert in records] == [0, 1, 7]
    assert [alert.page for alert in records] == [False, True, False]


def test_it_resolves_after_the_hold_and_not_before():
    state, (_, resolved) = run(0.5, 0.95, 0.95, 0.95, 0.95, 0.95, 0.95, 0.95)
    assert (resolved.status, resolved.resolve_reason, resolved.severity) == ("resolved", "condition", "critical")
    assert resolved.ends_at_ms == resolved.updated_at_ms == START_MS + 6 * MINUTE_MS
    assert state.phase is Phase.RESOLVED


def test_noise_at_the_boundary_fires_once():
    _, records = run(*([0.89, 0.91] * 20))
    assert [alert.status for alert in records] == ["firing"]


def test_the_next_episode_has_another_id_and_the_next_generation():
    calm = [0.99] * 7
    _, records = run(0.5, *calm, 0.5, *calm)
    assert [alert.status for alert in records] == ["firing", "resolved", "firing", "resolved"]
    assert [alert.generation for alert in records] == [1, 2, 3, 4]
    assert records[0].id == records[1].id != records[2].id == records[3].id


def test_each_level_has_its_own_clock():
    rule = timed(PUSH, warning=5 * MINUTE_MS, critical=10 * MINUTE_MS)
    _, records = run(*[0.5] * 11, rule=rule)
    assert [((alert.updated_at_ms - START_MS) // MINUTE_MS, alert.severity) for alert in records] == [
        (5, "warning"),
        (10, "critical"),
    ]
    assert records[0].active_at_ms == START_MS
    assert run(*[0.5] * 5, 0.95, *[0.5] * 5, rule=rule)[1] == [], "the clock starts anew"
    assert run(*[0.5] * 3, rule=rule)[0].phase is Phase.PENDING
    assert run(0.5, 0.95, rule=rule)[0].phase is Phase.INACTIVE


def test_no_data_stops_the_clocks():
    rule = timed(PUSH, warning=5 * MINUTE_MS, critical=10 * MINUTE_MS)
    _, records = run(0.85, 0.85, None, None, None, 0.85, 0.85, 0.85, 0.85, rule=rule)
    assert [(alert.updated_at_ms - START_MS) // MINUTE_MS for alert in records] == [8]
    assert records[0].active_at_ms == START_MS
    _, records = run(0.5, 0.95, 0.95, *[None] * 30, 0.95, 0.95, 0.95, 0.95)
    assert [(alert.status, (alert.updated_at_ms - START_MS) // MINUTE_MS) for alert in records] == [
        ("firing", 0),
        ("resolved", 36),
    ]


def test_no_data_at_first_is_nothing():
    state, records = run(None, None)
    assert (state.phase, records) == (Phase.INACTIVE, [])


def test_a_tick_again_changes_nothing():
    state, _ = run(0.5, 0.95)
    again, records = run(0.5, 0.95, state=state)
    assert (again, records) == (state, [])


def test_history_is_marked_and_announced_once_when_the_present_is_reached():
    state, (replayed,) = run(0.5, 0.5, replayed=True)
    assert replayed.replayed
    state, (announced,) = run(0.5, 0.5, state=state, start_ms=START_MS + 2 * MINUTE_MS)
    assert (announced.replayed, announced.generation) == (False, 2)
    assert (announced.id, announced.starts_at_ms) == (replayed.id, replayed.starts_at_ms)
    state, _ = run(0.5, replayed=True)
    _, (without_data,) = run(None, state=state, start_ms=START_MS + MINUTE_MS)
    assert (without_data.no_data, without_data.replayed) == (True, False)


def test_history_that_ended_stays_silent():
    state, records = run(0.5, *[0.99] * 7, replayed=True)
    assert all(alert.replayed for alert in records)
    assert run(0.99, state=state, start_ms=START_MS + 60 * MINUTE_MS)[1] == []


def test_a_rule_that_goes_ends_its_alert():
    state, (fired,) = run(0.5)
    ended, record = retire(state, "rule_removed", START_MS + MINUTE_MS)
    assert (record.status, record.resolve_reason, record.generation) == ("resolved", "rule_removed", 2)
    assert (record.id, record.starts_at_ms) == (fired.id, fired.starts_at_ms)
    assert ended.phase is Phase.RESOLVED
    assert retire(ended, "rule_removed", START_MS)[1] is None
    assert retire(run(0.99)[0], "rule_changed", START_MS)[1] is None


def test_an_owner_takes_over_what_was_published_but_not_kept():
    kept, _ = run(0.99)
    after, (fired,) = run(0.5, state=kept, start_ms=START_MS + MINUTE_MS)
    adopted = adopt_published(kept, fired, PUSH, SERIES)
    assert (adopted.phase, adopted.generation, adopted.tick_ms) == (Phase.FIRING, 1, fired.updated_at_ms)
    _, records = run(0.5, *[0.99] * 7, state=adopted, start_ms=START_MS + MINUTE_MS)
    assert [(alert.status, alert.id, alert.generation) for alert in records] == [("resolved", fired.id, 2)]
    assert adopt_published(after, fired, PUSH, SERIES) is after
    assert adopt_published(None, fired, PUSH, SERIES).phase is Phase.FIRING
    _, records = run(0.5, *[0.99] * 7)
    assert adopt_published(None, records[-1], PUSH, SERIES).phase is Phase.RESOLVED


@pytest.mark.parametrize("measured", [(0.99,), (0.85,), (0.5, 0.85), (0.5, *[0.99] * 8), (0.5, None), (0.5, 0.95)])
def test_a_state_survives_its_bytes(measured):
    state, _ = run(*measured)
    assert read_memory([(b"f", encode_state(state))]).states == {"f": state}
