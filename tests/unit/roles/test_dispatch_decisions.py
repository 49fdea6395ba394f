"""What becomes of a dispatch row, by outcome."""

import pytest

from sinks.outcomes import Delivered, Gone, Refused, RetryAfter, Unauthorised
from streams.roles.dispatch_decisions import TOLD_CAP_S, UNAUTHORISED_PAUSE_S, describe, health, judge
from tests.unit.roles.role_records import dispatch_row


def judged(outcome, *, retry_count=0, max_retry=3):
    return judge(
        [dispatch_row(5, retry_count=retry_count)],
        [outcome],
        max_retry=max_retry,
        delay_s=lambda attempt: 10.0 * attempt,
    )


def test_only_proof_makes_a_row_dispatched():
    verdicts = judged(Delivered(200))
    assert (verdicts.dispatched, verdicts.failures, verdicts.released) == ((5,), (), ())


@pytest.mark.parametrize(("retry_count", "retry_in_s"), [(0, 10.0), (1, 20.0), (2, 30.0), (3, None), (7, None)])
def test_answers_about_the_event_use_up_its_retries(retry_count, retry_in_s):
    (failure,) = judged(RetryAfter(None, 400, "bad_request"), retry_count=retry_count).failures
    assert (failure.retry_count, failure.retry_in_s) == (retry_count + 1, retry_in_s)
    assert failure.error == "bad_request: HTTP 400"


SPEAK_FOR_THE_TARGET = [
    RetryAfter(None, None, "timeout"),
    RetryAfter(None, 200, "unconfirmed"),
    RetryAfter(None, 200, "quota_limited"),
    RetryAfter(None, 302, "http_302"),
    *(RetryAfter(None, status, f"http_{status}") for status in (402, 404, 408, 429, 500, 503, 599)),
]


@pytest.mark.parametrize("outcome", SPEAK_FOR_THE_TARGET)
@pytest.mark.parametrize("max_retry", [0, 1, 3])
def test_an_outage_is_waited_out_however_long_it_lasts(outcome, max_retry):
    retry_count, waits = 0, []
    for _ in range(50):
        (failure,) = judged(outcome, retry_count=retry_count, max_retry=max_retry).failures
        assert failure.retry_in_s is not None
        retry_count = failure.retry_count
        waits.append(failure.retry_in_s)
    assert waits == sorted(waits), "the wait grows, it never shrinks"
    assert waits[-1] == 10.0 * max(max_retry, 1)
    (afterwards,) = judged(RetryAfter(None, 400, "bad_request"), retry_count=retry_count, max_retry=max_retry).failures
    assert (afterwards.retry_in_s is not None) is (max_retry > 0), "the last retry is left"


def test_a_far_retry_after_does_not_park_a_row_for_ever():
    for status in (503, 400):
        (failure,) = judged(RetryAfter(999_999_999_999.0, status)).failures
        assert failure.retry_in_s == TOLD_CAP_S


@pytest.mark.parametrize(("told_s", "retry_in_s"), [(120.0, 120.0), (1.0, 10.0), (0.0, 10.0)])
def test_a_told_wait_is_never_cut_short(told_s, retry_in_s):
    (failure,) = judged(RetryAfter(told_s, 429, "throttled")).failures
    assert failure.retry_in_s == retry_in_s


@pytest.mark.parametrize("outcome", [Refused("event_too_large"), Gone(410)])
def test_a_refusal_is_final(outcome):
    (failure,) = judged(outcome).failures
    assert (failure.retry_count, failure.retry_in_s) == (1, None)


def test_a_wrong_token_uses_up_no_retry():
    (failure,) = judged(Unauthorised(401, "invalid_token"), retry_count=3).failures
    assert (failure.retry_count, failure.retry_in_s) == (3, UNAUTHORISED_PAUSE_S)


def test_what_was_not_attempted_is_given_back():
    verdicts = judged(RetryAfter(30.0, None, "circuit_open"))
    assert (verdicts.released, verdicts.attempted) == ((5,), 0)


def test_counts_of_a_mixed_batch():
    outcomes = [Delivered(200), RetryAfter(None, 503), Refused("x"), RetryAfter(1.0, None, "circuit_open")]
    rows = [dispatch_row(place) for place in range(4)]
    verdicts = judge(rows, outcomes, max_retry=3, delay_s=lambda attempt: 1.0)
    assert (verdicts.attempted, verdicts.scheduled, verdicts.released) == (3, 1, (3,))


def test_the_breaker_hears_the_worst():
    retry, wrong = RetryAfter(5.0, 503), Unauthorised(401)
    assert health([Delivered(200), wrong, retry]) == retry
    assert health([Delivered(200), wrong]) == wrong
    assert health([Delivered(200), Refused("x")]) == Delivered()


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Delivered(201), "delivered"),
        (Gone(410, "unsubscribed"), "gone: HTTP 410: unsubscribed"),
        (Unauthorised(401), "unauthorised: HTTP 401"),
        (RetryAfter(None), "not delivered"),
        (Refused("too_large", 413, "shrink it"), "too_large: HTTP 413: shrink it"),
    ],
)
def test_errors_are_one_line(outcome, text):
    assert describe(outcome) == text
