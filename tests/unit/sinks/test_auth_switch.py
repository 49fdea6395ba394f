"""Whose fault is a 401 or 403? Decided by ratio over distinct subscriptions."""

from sinks.webpush.auth_switch import AuthSwitch, AuthSwitchSettings, Verdict

KEY = ("https://fcm.googleapis.com", "k1")
OTHER_ORIGIN = ("https://web.push.apple.com", "k1")


def tripped(failures=10):
    switch = AuthSwitch()
    for subscription in range(failures):
        verdict = switch.record_failure(KEY, subscription, 0.0)
    assert verdict is Verdict.TRIPPED
    return switch


def test_a_wrong_key_trips_after_ten_distinct_subscriptions_and_blames_none():
    switch = AuthSwitch()
    verdicts = [switch.record_failure(KEY, subscription, 0.0) for subscription in range(10)]
    assert verdicts == [Verdict.UNDECIDED] * 9 + [Verdict.TRIPPED]


def test_one_subscription_that_fails_again_and_again_trips_nothing():
    switch = AuthSwitch()
    assert {switch.record_failure(KEY, 7, float(now)) for now in range(500)} == {Verdict.UNDECIDED}


def test_a_stale_subscription_among_working_ones_is_quarantined():
    switch = AuthSwitch()
    switch.record_accepted(KEY, 1, 0.0)
    assert switch.record_failure(KEY, 2, 1.0) is Verdict.SUBSCRIPTION


def test_two_in_a_hundred_stale_never_trip():
    switch = AuthSwitch()
    blamed = set()
    for subscription in range(10_000):
        now_s = subscription / 100
        if subscription % 50 == 49:
            if switch.record_failure(KEY, subscription, now_s) is Verdict.SUBSCRIPTION:
                blamed.add(subscription)
        else:
            switch.record_accepted(KEY, subscription, now_s)
    assert blamed == set(range(49, 10_000, 50))


def test_many_stale_ones_among_some_that_work_are_quarantined_too():
    switch = AuthSwitch()
    verdicts = []
    for subscription in range(120):
        if subscription % 3 == 0:
            switch.record_accepted(KEY, subscription, 0.0)
        else:
            verdicts.append(switch.record_failure(KEY, subscription, 0.0))
    assert verdicts[20:] == [Verdict.SUBSCRIPTION] * 60


def test_a_fault_that_the_answer_calls_ours_blames_no_subscription():
    switch = AuthSwitch()
    for subscription in range(100):
        switch.record_accepted(KEY, subscription, 0.0)
    assert switch.record_failure(KEY, 200, 1.0, ours=True) is Verdict.UNDECIDED


def test_a_key_that_breaks_while_running_blames_few_and_trips():
    switch = AuthSwitch()
    for subscription in range(10_000):
        switch.record_accepted(KEY, subscription, 0.0)
    verdicts = [switch.record_failure(KEY, 20_000 + n, 1.0) for n in range(30)]
    assert verdicts.count(Verdict.SUBSCRIPTION) <= 3
    assert verdicts[-1] is Verdict.TRIPPED


def test_a_pause_admits_nobody_and_then_one_probe():
    switch = tripped()
    assert switch.admit(KEY, 1.0).retry_after_s == 59.0
    assert switch.paused_for_s(KEY, 1.0) == 59.0
    assert [switch.admit(KEY, 60.0) is None for _ in range(5)] == [True, False, False, False, False]


def test_a_good_probe_ends_the_pause_and_a_bad_one_doubles_it():
    switch = tripped()
    assert switch.admit(KEY, 60.0) is None
    assert switch.record_failure(KEY, 1, 60.0) is Verdict.TRIPPED
    assert switch.paused_for_s(KEY, 60.0) == 120.0
    assert switch.admit(KEY, 180.0) is None
    switch.record_accepted(KEY, 1, 180.0)
    assert not switch.paused(KEY)
    assert switch.proven(KEY)
    assert switch.admit(KEY, 180.0) is None


def test_late_failures_during_a_pause_do_not_lengthen_it():
    switch = tripped()
    for subscription in range(100, 150):
        assert switch.record_failure(KEY, subscription, 1.0) is Verdict.TRIPPED
    assert switch.paused_for_s(KEY, 1.0) == 59.0


def test_a_probe_without_an_answer_makes_room_for_another():
    switch = tripped()
    assert switch.admit(KEY, 60.0) is None
    switch.abandon(KEY)
    assert switch.admit(KEY, 61.0) is None


def test_origins_and_keys_are_judged_apart():
    switch = tripped()
    assert switch.admit(OTHER_ORIGIN, 1.0) is None
    assert switch.admit((KEY[0], "k2"), 1.0) is None


def test_old_evidence_expires():
    switch = AuthSwitch(AuthSwitchSettings(window_s=60.0))
    for subscription in range(9):
        switch.record_failure(KEY, subscription, 0.0)
    assert switch.record_failure(KEY, 9, 61.0) is Verdict.UNDECIDED


def test_reset_forgets_a_trip():
    switch = tripped()
    switch.reset(KEY)
    assert switch.admit(KEY, 1.0) is None
