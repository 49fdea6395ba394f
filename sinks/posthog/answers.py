"""What an answer of PostHog means for the events of the request. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from sinks.outcomes import Delivered, Outcome, Refused, RetryAfter, Unauthorised
from sinks.retry import parse_retry_after

_CONFIRMED = (1, "1", "Ok", "ok", "OK")
_DETAIL_CHARACTERS = 200


class Split(Enum):
    """The request as a whole was refused; smaller ones may not be."""

    TOO_LARGE = "payload_too_large"
    BAD_REQUEST = "bad_request"


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer: status, headers with lower-case names, the beginning of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


def classify(answer: Answer, now_s: float) -> Outcome | Split:
    """An outcome for all events of the request, or that it should be split. `now_s` is Unix time."""
    status = answer.status
    detail = " ".join(answer.body.decode("utf-8", "replace").split())[:_DETAIL_CHARACTERS] or None
    told_s = parse_retry_after(answer.headers.get("retry-after"), now_s)
    if 200 <= status < 300:
        return _accepted(answer, told_s, detail)
    if status == 413:
        return Split.TOO_LARGE
    if status in (401, 403) or (status == 400 and _blames_the_key(answer.body)):
        return Unauthorised(status, "invalid_token", detail)
    if status == 400:
        return Split.BAD_REQUEST
    if status == 402:
        return RetryAfter(told_s, status, "billing_limit", detail)
    if status in (415, 422):
        return Refused(f"http_{status}", status, detail)
    # Also 3xx and 404: a wrong address is ours to correct, and the events must still be there then.
    return RetryAfter(told_s, status, "throttled" if status == 429 else f"http_{status}", detail)


def _accepted(answer: Answer, told_s: float | None, detail: str | None) -> Outcome:
    """A 2xx counts only if the body says so: over quota PostHog answers 200 and drops the events."""
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        return RetryAfter(told_s, answer.status, "unconfirmed", detail)
    if said.get("quota_limited"):
        return RetryAfter(told_s, answer.status, "quota_limited", detail)
    if said.get("status") not in _CONFIRMED:
        return RetryAfter(told_s, answer.status, "unconfirmed", detail)
    return Delivered(answer.status)


def _blames_the_key(body: bytes) -> bool:
    text = body[:2000].lower()
    return b"api_key" in text or b"api key" in text or b"invalid_token" in text
