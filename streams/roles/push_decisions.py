"""What becomes of a notify job: before anything is sent, and after. Pure.

The invariants: a subscription gets at most one final outcome per job; a job is DONE only when every subscription has
one and at least one is DELIVERED; nothing that was not attempted uses up a retry.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never
from uuid import UUID

from sinks.outcomes import Delivered, Gone, Outcome, Refused, RetryAfter, Unauthorised, was_attempted
from sinks.ports import PushMessage, PushTarget
from sinks.store_values import DispatchAttempt, JobResult, JobStatus, PushJob, PushLog, PushTemplate
from streams.roles.dispatch_decisions import DelayS, describe, told_s
from streams.roles.rendering import push_message

EXPIRED = "expired"
UNAUTHORISED = "unauthorised"
GONE = "gone"
"""Values of push_message_logs.error_code beside those of the sender."""

LONGEST_HOLD_S = 60.0
"""Longest time a job that was held back is left alone, so that it expires in time and a healed service is noticed."""


@dataclass(frozen=True, slots=True)
class PushPolicy:
    """The settings that jobs are judged by.

    Attributes:
        ttl_s: how long after it was first due a job is worth sending; a template may ask for less.
        max_retry: attempts after the first one.
        hold_floor_s: shortest time a job that was held back is left alone, so that jobs of a service that is down do
            not go round and round.
    """

    ttl_s: int
    max_retry: int
    hold_floor_s: float = 15.0


@dataclass(frozen=True, slots=True)
class Sending:
    """A job that is to be sent: one message to each of its targets."""

    job: PushJob
    template: PushTemplate
    message: PushMessage


def plan(job: PushJob, policy: PushPolicy) -> Sending | JobResult:
    """What to do with a claimed job."""
    template = job.template
    if template is None or not template.active:
        return JobResult(job.job_id, JobStatus.CANCELLED, job.retry_count, last_error="template is inactive")
    if not job.targets:
        return _without_targets(job)
    if job.age_s > _ttl_s(template, policy):
        error = f"older than {_ttl_s(template, policy)} s"
        logs = tuple(_log(job, target, template, error=(EXPIRED, error)) for target in job.targets)
        return _closed(job, logs, {}, f"{EXPIRED}: {error}")
    return Sending(job, template, push_message(job, template, ttl_s=policy.ttl_s))


def conclude(
    sending: Sending,
    outcomes: Mapping[int, Outcome],
    *,
    policy: PushPolicy,
    delay_s: DelayS,
    jitter: float = 0.0,
) -> JobResult:
    """What becomes of a job whose messages were sent.

    Args:
        sending: the plan.
        outcomes: subscription id to what came of it; subscriptions that are absent were not tried.
        policy: the settings.
        delay_s: seconds to wait after the n-th failure.
        jitter: in [0, 1), spreads the end of a hold.
    """
    job, template = sending.job, sending.template
    logs: list[PushLog] = []
    disabled: dict[int, str] = {}
    waiting: list[RetryAfter] = []
    held_s: list[float] = []
    untried = False
    exhausted = job.retry_count >= policy.max_retry
    for target in job.targets:
        outcome = outcomes.get(target.subscription_id)
        match outcome:
            case None:
                untried = True
            case RetryAfter(seconds=seconds) if not was_attempted(outcome):
                held_s.append(seconds or 0.0)
            case RetryAfter() if not exhausted:
                waiting.append(outcome)
            case _:
                logs.append(_final(job, target, template, outcome))
                if isinstance(outcome, Gone):
                    disabled[target.subscription_id] = f"gone: HTTP {outcome.http_status}"
    if waiting:
        longest_told_s = max(told_s(outcome.seconds) for outcome in waiting)
        return JobResult(
            job.job_id,
            JobStatus.READY,
            job.retry_count + 1,
            due_in_s=max(delay_s(job.retry_count + 1), longest_told_s),
            last_error=describe(waiting[0]),
            logs=tuple(logs),
            disabled=disabled,
        )
    if untried or held_s:
        return JobResult(
            job.job_id,
            JobStatus.READY,
            job.retry_count,
            hold_s=0.0 if untried else _hold_s(sending, policy, min(held_s), jitter),
            last_error="held back: the service is not being tried now",
            logs=tuple(logs),
            disabled=disabled,
        )
    errors = sorted({log.error_code or "failed" for log in logs if not log.delivered})
    return _closed(job, tuple(logs), disabled, ", ".join(errors))


def attempt(
    batch_id: UUID, outcomes: Sequence[Outcome], last_failure: Outcome | None, duration_ms: int
) -> DispatchAttempt | None:
    """The row of dispatch_attempts for one claim; None when no outcome speaks for the push services.

    What a service that is down holds back counts as failed: without that an outage, in which hardly anything becomes
    final, would show nowhere. `Refused` and `Gone` speak for a message or a subscription and are left out.

    Args:
        batch_id: the claim's token.
        outcomes: what came of the claim's messages.
        last_failure: the latest outcome that `is_failure`.
        duration_ms: how long the claim was worked on.
    """
    succeeded = sum(isinstance(outcome, Delivered) for outcome in outcomes)
    failed = sum(is_failure(outcome) for outcome in outcomes)
    if not succeeded + failed:
        return None
    told = last_failure if isinstance(last_failure, RetryAfter | Unauthorised) else None
    return DispatchAttempt(
        batch_id=batch_id,
        attempted=succeeded + failed,
        succeeded=succeeded,
        failed=failed,
        http_status=None if told is None else told.http_status,
        error_code=None if told is None else told.error_code or _unnamed(told),
        error_message=None if told is None else describe(told),
        duration_ms=duration_ms,
    )


def is_failure(outcome: Outcome) -> bool:
    """Does the outcome speak against the push service or our credentials there?"""
    return isinstance(outcome, RetryAfter | Unauthorised)


def _unnamed(outcome: RetryAfter | Unauthorised) -> str:
    return UNAUTHORISED if isinstance(outcome, Unauthorised) else "not_delivered"


def _ttl_s(template: PushTemplate, policy: PushPolicy) -> int:
    return min(template.ttl_s, policy.ttl_s)


def _hold_s(sending: Sending, policy: PushPolicy, seconds: float, jitter: float) -> float:
    """Until the service may be tried again, never at once, and not beyond the moment at which the job expires."""
    left_s = _ttl_s(sending.template, policy) - sending.job.age_s
    wanted_s = max(seconds, policy.hold_floor_s) + policy.hold_floor_s * jitter / 2
    return max(min(wanted_s, left_s, LONGEST_HOLD_S), 0.0)


def _without_targets(job: PushJob) -> JobResult:
    if not job.final_before:
        return JobResult(job.job_id, JobStatus.CANCELLED, job.retry_count, last_error="no enabled subscription")
    return _closed(job, (), {}, "no subscription left")


def _closed(job: PushJob, logs: tuple[PushLog, ...], disabled: Mapping[int, str], error: str) -> JobResult:
    """DONE when somebody got it, now or in an earlier attempt; FAILED otherwise."""
    if job.delivered_before or any(log.delivered for log in logs):
        return JobResult(
            job.job_id, JobStatus.DONE, job.retry_count, last_error=error or None, logs=logs, disabled=disabled
        )
    if logs and len(disabled) == len(logs) and not job.final_before:
        error = "all subscriptions gone"
    return JobResult(job.job_id, JobStatus.FAILED, job.retry_count, last_error=error, logs=logs, disabled=disabled)


def _final(job: PushJob, target: PushTarget, template: PushTemplate, outcome: Outcome) -> PushLog:
    match outcome:
        case Delivered(http_status=status):
            return _log(job, target, template, http_status=status)
        case Gone(http_status=status):
            code = GONE
        case Unauthorised(http_status=status):
            code = UNAUTHORISED
        case RetryAfter(http_status=status, error_code=told):
            code = told or "retries_exhausted"
        case Refused(http_status=status, error_code=code):
            pass
        case _ as unreachable:
            assert_never(unreachable)
    return _log(job, target, template, http_status=status, error=(code, describe(outcome)))


def _log(
    job: PushJob,
    target: PushTarget,
    template: PushTemplate,
    *,
    http_status: int | None = None,
    error: tuple[str, str] | None = None,
) -> PushLog:
    """The row for a delivery, or with `error` (code, message) for a failure."""
    return PushLog(
        job_id=job.job_id,
        subscription_id=target.subscription_id,
        template_id=template.template_id,
        member_id=job.member_id,
        delivered=error is None,
        http_status=http_status,
        error_code=None if error is None else error[0],
        error_message=None if error is None else error[1],
        dedup_key=f"{job.dedup_key}:{target.subscription_id}",
    )
