"""What becomes of a dispatch row after a batch was sent. Pure: delays come from a function that is passed in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from sinks.outcomes import Delivered, Gone, Outcome, Refused, RetryAfter, Unauthorised, was_attempted
from sinks.store_values import DispatchFailure, DispatchRow

DelayS = Callable[[int], float]
"""Seconds to wait after the n-th failure, from 1; made of `sinks.retry.next_delay_s` and dice in ops.wiring."""

UNAUTHORISED_PAUSE_S = 60.0
"""How long a target that does not accept our credentials is left alone."""

TOLD_CAP_S = 3600.0
"""Longest wait that a destination can ask for: a far Retry-After must not park a row for ever."""

_TARGET_STATUSES = frozenset({402, 404, 408, 429})
"""Statuses below 500 that speak for the target (quota, address, haste), not for the event that was sent."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What to write for a batch: ids that were delivered, failures, ids to give back as they were."""

    dispatched: tuple[int, ...]
    failures: tuple[DispatchFailure, ...]
    released: tuple[int, ...]

    @property
    def attempted(self) -> int:
        """Rows for which something was sent."""
        return len(self.dispatched) + len(self.failures)

    @property
    def scheduled(self) -> int:
        """Failures that will be tried again."""
        return sum(failure.retry_in_s is not None for failure in self.failures)


def judge(rows: Sequence[DispatchRow], outcomes: Sequence[Outcome], *, max_retry: int, delay_s: DelayS) -> Verdicts:
    """Decide for each row by its outcome.

    `max_retry` bounds the tries that fail for the event's own sake. A target that is down, over its quota or refuses
    our credentials takes no row its last retry, however long that lasts: the events must still be there afterwards.
    """
    dispatched: list[int] = []
    failures: list[DispatchFailure] = []
    released: list[int] = []
    for row, outcome in zip(rows, outcomes, strict=True):
        match outcome:
            case Delivered():
                dispatched.append(row.dispatch_id)
            case RetryAfter() if not was_attempted(outcome):
                released.append(row.dispatch_id)
            case RetryAfter(seconds=seconds) if speaks_for_target(outcome):
                failures.append(_wait_for_target(row, describe(outcome), seconds, max_retry, delay_s))
            case RetryAfter(seconds=seconds):
                failures.append(_retry(row, describe(outcome), seconds, max_retry, delay_s))
            case Unauthorised():
                failures.append(
                    DispatchFailure(row.dispatch_id, row.retry_count, describe(outcome), UNAUTHORISED_PAUSE_S)
                )
            case Refused() | Gone():
                failures.append(DispatchFailure(row.dispatch_id, row.retry_count + 1, describe(outcome), None))
            case _ as unreachable:
                assert_never(unreachable)
    return Verdicts(tuple(dispatched), tuple(failures), tuple(released))


def told_s(seconds: float | None) -> float:
    """Seconds that a destination asked for, as far as they are obeyed."""
    return min(max(seconds or 0.0, 0.0), TOLD_CAP_S)


def speaks_for_target(outcome: RetryAfter) -> bool:
    """Does the answer say how the target is? No answer, 5xx, 3xx, a 2xx without proof, and the statuses above."""
    status = outcome.http_status
    return status is None or not 400 <= status < 500 or status in _TARGET_STATUSES


def health(outcomes: Sequence[Outcome]) -> Outcome:
    """The one outcome that tells the breaker how the target is: the worst one; `Delivered` when it answered."""
    for outcome in outcomes:
        if isinstance(outcome, RetryAfter):
            return outcome
    return next((outcome for outcome in outcomes if isinstance(outcome, Unauthorised)), Delivered())


def describe(outcome: Outcome) -> str:
    """One line for last_error."""
    match outcome:
        case Delivered():
            return "delivered"
        case Gone():
            words = ["gone"]
        case Unauthorised(error_code=code):
            words = ["unauthorised"] if code is None else ["unauthorised", code]
        case RetryAfter(error_code=code):
            words = [code or "not delivered"]
        case Refused(error_code=code):
            words = [code]
        case _ as unreachable:
            assert_never(unreachable)
    if outcome.http_status is not None:
        words.append(f"HTTP {outcome.http_status}")
    if outcome.detail:
        words.append(outcome.detail)
    return ": ".join(words)


def _wait_for_target(
    row: DispatchRow, error: str, seconds: float | None, max_retry: int, delay_s: DelayS
) -> DispatchFailure:
    """Due again after a growing wait, for ever.

    The count grows for the sake of the wait (an event that brings the target down must not be in every batch), but
    stops before the last retry, which is kept for answers about the event.
    """
    failures = row.retry_count + 1
    counted = max(row.retry_count, min(failures, max_retry - 1))
    return DispatchFailure(row.dispatch_id, counted, error, max(delay_s(failures), told_s(seconds)))


def _retry(row: DispatchRow, error: str, seconds: float | None, max_retry: int, delay_s: DelayS) -> DispatchFailure:
    failures = row.retry_count + 1
    if failures > max_retry:
        return DispatchFailure(row.dispatch_id, failures, error, None)
    return DispatchFailure(row.dispatch_id, failures, error, max(delay_s(failures), told_s(seconds)))
