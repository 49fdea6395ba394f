"""The circuit breaker's requirements, one test each (reference sheet E)."""

from sinks.breaker import Admitted, Breaker, BreakerSettings, Rejected, State


def failed_often(breaker, now_s=0.0, calls=20, retry_after_s=None):
    for _ in range(calls):
        breaker.record(now_s, ok=False, retry_after_s=retry_after_s, admitted=breaker.admit(now_s))
    return breaker


def half_open(now_s=1.0):
    breaker = failed_often(Breaker())
    probe = breaker.admit(now_s)
    assert isinstance(probe, Admitted)
    assert probe.probe
    return breaker, probe


def test_twenty_failures_open_it_and_nineteen_do_not():
    assert failed_often(Breaker(), calls=19).state is State.CLOSED
    assert failed_often(Breaker(), calls=20).state is State.OPEN


def test_a_steady_failure_rate_opens_it_although_no_failures_are_consecutive():
    breaker = Breaker()
    for call in range(20):
        breaker.record(0.0, ok=call % 2 == 0)
    assert breaker.state is State.OPEN


def test_a_failure_rate_below_half_never_opens_it():
    breaker = Breaker()
    for call in range(1, 10_000):
        breaker.record(call / 100, ok=call % 9 < 5)
    assert breaker.state is State.CLOSED


def test_failures_older_than_the_window_do_not_count():
    breaker = failed_often(Breaker(), now_s=0.0, calls=19)
    breaker.record(31.0, ok=False)
    assert breaker.state is State.CLOSED


def test_open_rejects_and_says_for_how_long():
    breaker = failed_often(Breaker(BreakerSettings(open_base_s=8.0)))
    assert breaker.admit(1.0) == Rejected(3.0)
    assert isinstance(breaker.admit(4.0), Admitted)


def test_half_open_lets_exactly_one_of_fifty_callers_through():
    breaker = failed_often(Breaker())
    answers = [breaker.admit(1.0) for _ in range(50)]
    assert sum(isinstance(answer, Admitted) for answer in answers) == 1


def test_a_good_probe_closes_it():
    breaker, probe = half_open()
    assert breaker.record(1.1, ok=True, admitted=probe) is State.CLOSED
    assert isinstance(breaker.admit(1.1), Admitted)


def test_a_bad_probe_opens_it_for_twice_as_long_up_to_a_minute():
    breaker = failed_often(Breaker())
    now_s, waits = 0.0, []
    for _ in range(10):
        answer = breaker.admit(now_s)
        if isinstance(answer, Rejected):
            waits.append(answer.retry_after_s)
            now_s += answer.retry_after_s
            answer = breaker.admit(now_s)
        assert isinstance(answer, Admitted)
        breaker.record(now_s, ok=False, admitted=answer)
    assert waits[:4] == [0.5, 1.0, 2.0, 4.0]
    assert max(waits) == 30.0, "half of 60 s with jitter 0"


def test_a_probe_after_the_fault_starts_counting_anew():
    breaker, probe = half_open()
    breaker.record(1.1, ok=True, admitted=probe)
    assert failed_often(breaker, now_s=2.0, calls=19).state is State.CLOSED


def test_retry_after_is_followed_fully_and_capped_at_an_hour():
    assert failed_often(Breaker(), retry_after_s=1800.0).admit(0.0) == Rejected(1800.0)
    assert failed_often(Breaker(), retry_after_s=86_400.0).admit(0.0) == Rejected(3600.0)


def test_jitter_never_shortens_what_was_told():
    breaker = failed_often(Breaker(), calls=19)
    breaker.record(0.0, ok=False, retry_after_s=100.0, jitter=0.99)
    answer = breaker.admit(0.0)
    assert isinstance(answer, Rejected)
    assert 100.0 <= answer.retry_after_s <= 110.0


def test_a_late_result_of_an_older_call_is_not_the_probes():
    breaker = Breaker()
    older = breaker.admit(0.0)
    failed_often(breaker)
    probe = breaker.admit(1.0)
    assert breaker.record(1.1, ok=True, admitted=older) is None
    assert breaker.state is State.HALF_OPEN
    assert isinstance(breaker.admit(1.1), Rejected), "the probe is still out"
    assert breaker.record(1.2, ok=False, admitted=probe) is State.OPEN


def test_a_cancelled_probe_makes_room_for_another():
    breaker, probe = half_open()
    breaker.abandon(probe)
    assert isinstance(breaker.admit(1.1), Admitted)


def test_a_lost_probe_is_given_up_after_its_lease_and_can_no_longer_speak():
    breaker, lost = half_open()
    assert isinstance(breaker.admit(120.9), Rejected)
    probe = breaker.admit(121.0)
    assert isinstance(probe, Admitted)
    assert breaker.record(121.1, ok=True, admitted=lost) is None
    assert breaker.record(121.2, ok=True, admitted=probe) is State.CLOSED


def test_killed_by_hand_stays_so_until_closed_by_hand():
    breaker = Breaker()
    breaker.kill()
    assert isinstance(breaker.admit(1e9), Rejected)
    breaker.record(1e9, ok=True)
    breaker.hold(1e9, 5.0)
    assert breaker.state is State.KILLED
    breaker.force_close()
    assert isinstance(breaker.admit(1e9), Admitted)


def test_a_hold_opens_at_once_and_is_never_shortened():
    breaker = Breaker()
    assert breaker.hold(0.0, 100.0) is State.OPEN
    assert breaker.hold(1.0, 5.0) is None
    assert breaker.admit(1.0) == Rejected(99.0)


def test_a_restart_can_begin_half_open():
    breaker = Breaker(BreakerSettings(start_half_open=True))
    assert breaker.state is State.HALF_OPEN
    assert [type(breaker.admit(0.0)) for _ in range(3)] == [Admitted, Rejected, Rejected]


def test_a_clock_that_runs_backwards_does_not_reopen_the_past():
    breaker = failed_often(Breaker(BreakerSettings(open_base_s=20.0)), now_s=100.0)
    assert breaker.admit(50.0) == Rejected(10.0)
