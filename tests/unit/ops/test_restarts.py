"""Whether and when a process that ended is started again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.restarts import CrashLoop, Refused, Restart, RestartPolicy, decide

POLICY = RestartPolicy()


@pytest.mark.parametrize(("exits", "delay_s"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0)])
def test_delays_double(exits, delay_s):
    assert decide([float(second) for second in range(exits)], 1, POLICY) == Restart(delay_s)


def test_five_exits_within_a_minute_are_a_crash_loop():
    assert decide([0.0, 10.0, 20.0, 30.0, 59.0], 1, POLICY) == CrashLoop(5, 60.0)


def test_five_exits_in_more_than_a_minute_are_not():
    assert isinstance(decide([0.0, 20.0, 40.0, 50.0, 60.0], 1, POLICY), Restart)


def test_after_a_quiet_minute_the_first_delay_applies_again():
    assert decide([0.0, 1.0, 2.0, 100.0], -9, POLICY) == Restart(0.5)


@pytest.mark.parametrize("code", [2, 3])
def test_what_only_a_person_can_repair_is_not_repeated(code):
    assert decide([0.0], code, POLICY) == Refused(code)


@pytest.mark.parametrize("code", [0, 1, 7, -9, -15])
def test_every_other_end_is_repeated_also_a_clean_one(code):
    assert decide([0.0], code, POLICY) == Restart(0.5)


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=50),
    st.integers(-64, 255).filter(lambda code: code not in (2, 3)),
)
def test_a_delay_is_never_shorter_than_the_first_nor_longer_than_the_longest(times, code):
    policy = RestartPolicy(loop_exits=1_000)
    match decide(sorted(times), code, policy):
        case Restart(delay_s):
            assert policy.first_delay_s <= delay_s <= policy.longest_delay_s
        case other:
            pytest.fail(f"{other} for exit code {code}")
