"""Laws of the breaker and of retry delays, over random histories."""

from hypothesis import given
from hypothesis import strategies as st

from sinks.breaker import Admitted, Breaker, BreakerSettings, Rejected, State
from sinks.retry import next_delay_s

CALLS = st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=120)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("admit"), st.floats(0, 40)),
        st.tuples(st.just("answer"), st.booleans(), st.one_of(st.none(), st.floats(0, 10_000)), st.integers(0, 30)),
        st.tuples(st.just("abandon"), st.integers(0, 30)),
        st.tuples(st.just("hold"), st.floats(0, 10_000)),
    ),
    max_size=80,
)
EAGER = BreakerSettings(minimum_calls=3, probe_lease_s=1e9)


@given(CALLS)
def test_it_opens_exactly_when_half_of_at_least_twenty_calls_in_thirty_seconds_failed(calls):
    breaker, now_s, seen = Breaker(), 0.0, []
    for gap_s, ok in calls:
        now_s += gap_s
        seen.append((int(now_s), ok))
        recent = [was_ok for second, was_ok in seen if second > now_s - 30]
        breaker.record(now_s, ok=ok)
        should_open = not ok and len(recent) >= 20 and recent.count(False) * 2 >= len(recent)
        assert (breaker.state is State.OPEN) == should_open
        if should_open:
            break


@given(STEPS)
def test_never_two_probes_at_once_and_never_a_call_before_the_told_time(steps):
    breaker, now_s, out = Breaker(EAGER), 0.0, []
    told_until_s = 0.0
    for step in steps:
        match step:
            case ("admit", gap_s):
                now_s += gap_s
                answer = breaker.admit(now_s)
                if isinstance(answer, Admitted):
                    assert now_s >= told_until_s
                    assert not (answer.probe and any(call.probe and call.era == answer.era for call in out))
                    out.append(answer)
                else:
                    assert answer.retry_after_s >= 0
            case ("answer", ok, told_s, which) if out:
                call = out.pop(which % len(out))
                if breaker.record(now_s, ok, told_s, admitted=call) is State.OPEN:
                    told_until_s = now_s + min(told_s or 0.0, 3600.0)
                elif breaker.state is State.CLOSED:
                    told_until_s = 0.0
            case ("abandon", which) if out:
                breaker.abandon(out.pop(which % len(out)))
            case ("hold", seconds):
                breaker.hold(now_s, seconds)
                told_until_s = max(told_until_s, now_s + min(seconds, 3600.0))
        newest = max((call.era for call in out), default=0)
        assert sum(call.probe and call.era == newest for call in out) <= 1


@given(st.integers(2, 200), st.floats(0, 0.999))
def test_of_any_number_of_callers_one_probes(callers, jitter):
    breaker = Breaker()
    for _ in range(20):
        breaker.record(0.0, ok=False, jitter=jitter)
    rejected = breaker.admit(0.0)
    assert isinstance(rejected, Rejected)
    answers = [breaker.admit(rejected.retry_after_s) for _ in range(callers)]
    assert sum(isinstance(answer, Admitted) for answer in answers) == 1


@given(STEPS)
def test_it_never_stays_open_longer_than_told_and_an_hour(steps):
    breaker, now_s = Breaker(EAGER), 0.0
    for step in steps:
        match step:
            case ("admit", gap_s):
                now_s += gap_s
            case ("answer", ok, told_s, _):
                breaker.record(now_s, ok, told_s)
            case ("hold", seconds):
                breaker.hold(now_s, seconds)
    assert isinstance(breaker.admit(now_s + 3600.0), Admitted)


@given(st.integers(1, 5000), st.floats(0, 100), st.floats(0, 3600), st.floats(0, 1, exclude_max=True))
def test_a_delay_lies_between_half_of_the_doubled_base_and_the_cap(attempt, base_s, cap_s, jitter):
    delay_s = next_delay_s(attempt, base_s, cap_s, jitter)
    whole_s = min(cap_s, base_s * 2.0 ** min(attempt - 1, 60))
    assert whole_s / 2 <= delay_s <= cap_s
    assert delay_s <= next_delay_s(attempt + 1, base_s, cap_s, jitter)
