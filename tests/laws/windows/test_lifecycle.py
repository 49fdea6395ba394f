"""Whatever a signal does: one firing and one resolved record per episode, the same log for the same ticks."""

from hypothesis import given
from hypothesis import strategies as st

from streams.alerts.lifecycle import Phase, Tick, step
from streams.alerts.memory import Memory, changes, read_memory
from streams.alerts.rates import Absence, Measured, NoData
from streams.alerts.rule import fingerprint_of
from streams.alerts.rules import load_rules
from streams.windows.signals import Series

RULES = """
version = 1
[signals.s]
table = "t"
key_column = "id"
group_by = []
sums.all = { add = 1 }
sums.good = { add = 1, where = { status = ["OK"] } }
[[rules]]
id = "r"
name = "r"
summary = "s"
description = "d"
runbook = "000"
line = 1
quote = "q"
signal = "s"
ratio = { numerator = "good", denominator = "all" }
unit = "ratio"
min_samples = 1
window = "15m"
for = "20s"
levels = [
    { op = "<", value = 0.9, severity = "warning" },
    { op = "<", value = 0.8, severity = "critical", for = "40s" },
]
resolve = { op = ">=", value = 0.95, hold = "30s" }
"""
RULE = load_rules(RULES).rules[0]
SERIES = Series("s")
FINGERPRINT = fingerprint_of(RULE, SERIES)
PANE_MS = 10_000

measurements = st.one_of(
    st.sampled_from((0.5, 0.85, 0.92, 0.99)).map(lambda value: Measured(value, 100)),
    st.just(NoData(Absence.TOO_FEW_SAMPLES)),
)
signals = st.lists(measurements, max_size=60)


def ticks_of(signal):
    return [Tick((place + 1) * PANE_MS, measurement) for place, measurement in enumerate(signal)]


def run(ticks, state=None):
    records = []
    for tick in ticks:
        state, record = step(RULE, SERIES, state, tick)
        records += [record] if record else []
    return state, records


@given(signals)
def test_one_episode_fires_first_resolves_last_and_keeps_its_identity(signal):
    _, records = run(ticks_of(signal))
    assert [record.generation for record in records] == list(range(1, len(records) + 1))
    open_episode = None
    for record in records:
        if open_episode is None:
            assert record.status == "firing"
            assert record.starts_at_ms == record.updated_at_ms
            open_episode, severity = record.id, record.severity
            continue
        assert record.id == open_episode
        if record.status == "resolved":
            assert record.ends_at_ms == record.updated_at_ms
            open_episode = None
        else:
            assert record.severity != severity, "a firing record follows another only when the severity changed"
            severity = record.severity


@given(signals)
def test_nothing_fires_before_its_hold_and_nothing_resolves_before_its_hold(signal):
    ticks = ticks_of(signal)
    _, records = run(ticks)
    for record in records:
        before = [tick for tick in ticks if tick.at_ms <= record.updated_at_ms]
        held = [tick.measurement.value for tick in before if isinstance(tick.measurement, Measured)]
        if record.status == "resolved":
            assert all(value >= 0.95 for value in held[-4:])
            assert len(held) >= 4
        elif record.severity == "critical":
            assert all(value < 0.8 for value in held[-5:])
        elif record.starts_at_ms == record.updated_at_ms:
            assert all(value < 0.9 for value in held[-3:])


@given(signal=signals, kills=st.sets(st.integers(0, 59)), repeats=st.integers(0, 5))
def test_a_restart_at_any_tick_gives_the_same_log(signal, kills, repeats):
    """State goes through its bytes, and the last ticks are evaluated again: nothing is published twice."""
    ticks = ticks_of(signal)
    _, expected = run(ticks)
    table, memory, records = {}, Memory(), []
    for place, tick in enumerate(ticks):
        again = ticks[max(0, place - repeats) : place] if place in kills else []
        if place in kills:
            memory = read_memory(table.items())
        for one in (*again, tick):
            state, record = step(RULE, SERIES, memory.states.get(FINGERPRINT), one)
            after = Memory(one.at_ms, {FINGERPRINT: state})
            for key, value in changes(memory, after):
                table.pop(key, None) if value is None else table.update({key: value})
            memory = after
            records += [record] if record else []
    assert records == expected


@given(signals)
def test_a_signal_without_data_neither_fires_nor_resolves(signal):
    state, records = run(ticks_of(signal))
    silent = [Tick(1_000_000 + place * PANE_MS, NoData(Absence.TOO_FEW_SAMPLES)) for place in range(20)]
    held, more = run(silent, state)
    assert not more
    if state is not None:
        assert held.phase is state.phase
        assert held.phase is not Phase.FIRING or held.no_data
    assert not records or held.generation == records[-1].generation
