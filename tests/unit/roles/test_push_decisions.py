"""What becomes of a notify job, before and after sending."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.outcomes import Delivered, Gone, Refused, RetryAfter, Unauthorised
from sinks.store_values import JobResult, JobStatus
from streams.roles.dispatch_decisions import TOLD_CAP_S
from streams.roles.push_decisions import PushPolicy, Sending, attempt, conclude, plan
from tests.unit.roles.role_records import push_job, push_template

POLICY = PushPolicy(ttl_s=600, max_retry=2)


def concluded(outcomes, *, jitter=0.0, **columns):
    job = push_job(targets=tuple(outcomes) or (1,), **columns)
    sending = plan(job, POLICY)
    assert isinstance(sending, Sending)
    given_outcomes = {place: outcome for place, outcome in outcomes.items() if outcome is not None}
    return conclude(sending, given_outcomes, policy=POLICY, delay_s=lambda attempt: 10.0 * attempt, jitter=jitter)


def codes(result):
    return [log.error_code for log in result.logs]


@pytest.mark.parametrize("template", [None, push_template(active=False)])
def test_a_job_of_an_inactive_template_is_cancelled(template):
    result = plan(push_job(template=template), POLICY)
    assert isinstance(result, JobResult)
    assert (result.status, result.logs) == (JobStatus.CANCELLED, ())


def test_a_member_without_subscriptions_is_cancelled():
    result = plan(push_job(targets=()), POLICY)
    assert isinstance(result, JobResult)
    assert (result.status, result.last_error) == (JobStatus.CANCELLED, "no enabled subscription")


@pytest.mark.parametrize(("delivered", "status"), [(1, JobStatus.DONE), (0, JobStatus.FAILED)])
def test_when_all_are_final_already_earlier_attempts_decide(delivered, status):
    result = plan(push_job(targets=(), final_before=2, delivered_before=delivered), POLICY)
    assert isinstance(result, JobResult)
    assert result.status is status


@pytest.mark.parametrize(("age_s", "ttl_s", "expired"), [(600, 3600, False), (601, 3600, True), (61, 60, True)])
def test_a_job_expires_by_the_shorter_of_both_ttls(age_s, ttl_s, expired):
    result = plan(push_job(targets=(1, 2), age_s=age_s, template=push_template(ttl_s=ttl_s)), POLICY)
    assert isinstance(result, JobResult) is expired
    if isinstance(result, JobResult):
        assert result.status is JobStatus.FAILED
        assert codes(result) == ["expired", "expired"]


def test_one_delivery_makes_a_job_done():
    result = concluded({1: Delivered(201), 2: Refused("payload_too_large", 413)})
    assert result.status is JobStatus.DONE
    assert [(log.delivered, log.http_status, log.error_code) for log in result.logs] == [
        (True, 201, None),
        (False, 413, "payload_too_large"),
    ]
    assert [log.dedup_key for log in result.logs] == ["job-1:1", "job-1:2"]


def test_gone_subscriptions_are_logged_and_disabled():
    result = concluded({1: Gone(410), 2: Gone(404)})
    assert (result.status, result.last_error) == (JobStatus.FAILED, "all subscriptions gone")
    assert codes(result) == ["gone", "gone"]
    assert result.disabled == {1: "gone: HTTP 410", 2: "gone: HTTP 404"}


def test_an_unauthorised_subscription_is_logged_and_kept():
    result = concluded({1: Unauthorised(403, "key_mismatch")})
    assert (result.status, codes(result), result.disabled) == (JobStatus.FAILED, ["unauthorised"], {})
    assert result.logs[0].http_status == 403


def test_a_retry_waits_and_keeps_what_is_final():
    result = concluded({1: Delivered(201), 2: RetryAfter(None, 503, "http_503"), 3: Gone(410)})
    assert (result.status, result.retry_count, result.due_in_s) == (JobStatus.READY, 1, 10.0)
    assert [log.subscription_id for log in result.logs] == [1, 3]
    assert result.disabled == {3: "gone: HTTP 410"}


def test_a_told_wait_is_never_cut_short():
    result = concluded({1: RetryAfter(120.0, 429), 2: RetryAfter(30.0, 429)})
    assert result.due_in_s == 120.0


def test_a_far_retry_after_does_not_park_a_job_for_ever():
    assert concluded({1: RetryAfter(999_999_999_999.0, 429)}).due_in_s == TOLD_CAP_S


def test_used_up_retries_become_a_failure():
    result = concluded({1: RetryAfter(None, 503, "http_503"), 2: RetryAfter(None)}, retry_count=2)
    assert result.status is JobStatus.FAILED
    assert codes(result) == ["http_503", "retries_exhausted"]
    assert result.last_error == "http_503, retries_exhausted"


@pytest.mark.parametrize("held", [RetryAfter(45.0, None, "circuit_open"), RetryAfter(45.0, None, "auth_paused")])
def test_what_was_held_back_uses_up_no_retry_and_does_not_move_the_schedule(held):
    result = concluded({1: held}, retry_count=2)
    assert (result.status, result.retry_count, result.due_in_s, result.hold_s) == (JobStatus.READY, 2, None, 45.0)
    assert result.logs == ()


def test_a_hold_ends_when_the_job_expires():
    result = concluded({1: RetryAfter(45.0, None, "circuit_open")}, age_s=595.0)
    assert result.hold_s == 5.0


@pytest.mark.parametrize(
    ("told_s", "jitter", "hold_s"), [(0.1, 0.0, 15.0), (None, 0.5, 18.75), (45.0, 0.5, 48.75), (59.0, 0.9, 60.0)]
)
def test_a_hold_has_a_floor_and_jitter(told_s, jitter, hold_s):
    result = concluded({1: RetryAfter(told_s, None, "circuit_open")}, jitter=jitter)
    assert result.hold_s == pytest.approx(hold_s)


def test_a_hold_is_bounded():
    result = concluded({1: RetryAfter(3600.0, None, "circuit_open")})
    assert result.hold_s == 60.0


def test_what_was_not_tried_is_given_back_at_once():
    result = concluded({1: None, 2: Delivered(201)})
    assert (result.status, result.hold_s, result.retry_count) == (JobStatus.READY, 0.0, 0)
    assert [log.subscription_id for log in result.logs] == [2]


BATCH = UUID(int=7)


def test_an_attempt_counts_what_speaks_for_the_services():
    held = RetryAfter(9.0, None, "circuit_open", "push.example")
    last = RetryAfter(None, 503, "http_503", "later")
    row = attempt(BATCH, [Delivered(201), held, Unauthorised(403), last, Gone(410), Refused("x")], last, 1500)
    assert row is not None
    assert (row.batch_id, row.attempted, row.succeeded, row.failed, row.duration_ms) == (BATCH, 4, 1, 3, 1500)
    assert (row.http_status, row.error_code, row.error_message) == (503, "http_503", "http_503: HTTP 503: later")


@pytest.mark.parametrize("outcomes", [[], [Gone(410)], [Refused("bad_subscription_keys"), Gone(404)]])
def test_without_an_outcome_that_speaks_for_a_service_there_is_no_attempt(outcomes):
    assert attempt(BATCH, outcomes, None, 10) is None


def test_an_attempt_without_failures_has_no_error():
    row = attempt(BATCH, [Delivered(201)], None, 10)
    assert row is not None
    assert (row.failed, row.http_status, row.error_code, row.error_message) == (0, None, None, None)


def test_a_failure_without_a_code_gets_the_name_of_its_kind():
    for failure, code in ((Unauthorised(401), "unauthorised"), (RetryAfter(None), "not_delivered")):
        row = attempt(BATCH, [failure], failure, 10)
        assert row is not None
        assert row.error_code == code


outcomes = st.one_of(
    st.none(),
    st.builds(Delivered, st.just(201)),
    st.builds(Gone, st.just(410)),
    st.builds(Refused, st.just("x")),
    st.builds(Unauthorised, st.just(403)),
    st.builds(RetryAfter, st.none() | st.floats(0, 100), st.just(503), st.sampled_from(["http_503", "circuit_open"])),
)


@given(st.dictionaries(st.integers(1, 9), outcomes, min_size=1), st.integers(0, 3), st.integers(0, 1))
def test_a_closed_job_has_every_outcome_and_a_done_one_a_delivery(by_target, retry_count, delivered_before):
    result = concluded(
        by_target, retry_count=retry_count, delivered_before=delivered_before, final_before=delivered_before
    )
    delivered = delivered_before + sum(log.delivered for log in result.logs)
    if result.status is JobStatus.READY:
        assert len(result.logs) < len(by_target)
        assert result.due_in_s is not None or result.hold_s is not None
    else:
        assert len(result.logs) == len(by_target)
        assert (result.status is JobStatus.DONE) == (delivered > 0)
    gone = {log.subscription_id for log in result.logs if log.error_code == "gone"}
    assert set(result.disabled or {}) == gone
    assert result.retry_count - retry_count == (result.due_in_s is not None)
