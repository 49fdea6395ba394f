"""What came of one delivery: the closed set of answers every sink gives and every role matches on.

An outcome is a fact about one message and one destination. Whether to write it down, to try again or to
disable something is the role's decision; `concerns_subscription` and `was_attempted` are the two facts that it
needs beyond the type.
"""

from dataclasses import dataclass

SUBSCRIPTION_FAULTS = frozenset(
    {"bad_subscription_keys", "endpoint_corrupt", "endpoint_moved", "endpoint_refused", "unknown_vapid_key"}
)
"""Codes of `Refused` that speak about the subscription, not about the message: quarantine it, keep the row."""

NOT_ATTEMPTED = frozenset({"circuit_open", "auth_paused"})
"""Codes of `RetryAfter` for which nothing was sent: such an answer uses up no retry."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The service took responsibility for the message."""

    http_status: int | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Not delivered, may be later. `seconds` is what the service asked for; None leaves it to the caller."""

    seconds: float | None
    http_status: int | None = None
    error_code: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Never deliverable as it is; trying again changes nothing. Dead letter or FAILED with `error_code`."""

    error_code: str
    http_status: int | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """The subscription no longer exists (404, 410): disable it in the transaction that logs the send."""

    http_status: int | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Unauthorised:
    """The destination does not accept our credentials.

    From a push sender it means: decided by ratio that this one subscription belongs to another key, so
    quarantine it. (While undecided, or when the fault is ours, the sender answers `RetryAfter` instead.)
    From an event sink it means: the project token is wrong; pause the sink, every event would fail.
    """

    http_status: int | None = None
    error_code: str | None = None
    detail: str | None = None


Outcome = Delivered | RetryAfter | Refused | Gone | Unauthorised


def concerns_subscription(outcome: Outcome) -> bool:
    """True when the fault lies with the one subscription: it should not be sent to again as it stands."""
    match outcome:
        case Gone() | Unauthorised():
            return True
        case Refused(error_code=code):
            return code in SUBSCRIPTION_FAULTS
        case _:
            return False


def was_attempted(outcome: Outcome) -> bool:
    """False when a breaker or the auth switch held the message back, so no try was spent on it."""
    return not (isinstance(outcome, RetryAfter) and outcome.error_code in NOT_ATTEMPTED)
