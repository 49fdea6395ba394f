"""What an answer of a push service means. Pure; one rule per row of the reference sheet's table A4.

Auth answers come out as `Unauthorised` with one of the codes below; whether that is the one subscription or our
own key is then decided by ratio in `auth_switch`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sinks.outcomes import Delivered, Gone, Outcome, Refused, RetryAfter, Unauthorised
from sinks.retry import parse_retry_after
from sinks.webpush.endpoints import Service, endpoint_name, without_urls

VAPID_CONFIG = "vapid_config"
"""Our token is wrong (claims, signature, clock): never the subscription's fault."""

KEY_MISMATCH = "key_mismatch"
"""The subscription was made with another key, or ours was exchanged."""

AUTH_AMBIGUOUS = "auth_ambiguous"
"""Refused without a reason that tells which."""

_DETAIL_CHARACTERS = 200
_ACCEPTED = (200, 201, 202)
_WNS_HEADERS = ("x-wns-status", "x-wns-notificationstatus")
_MOZILLA_OWN_FAULTS = frozenset({101, 110, 111, 112, 113})
_WNS_NOT_DELIVERED = frozenset({"dropped", "channelthrottled"})


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer: status, headers with lower-case names, the beginning of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


def classify(answer: Answer, service: Service, now_s: float) -> Outcome:
    """What the answer means for the message and its subscription. `now_s` is Unix time, for Retry-After dates."""
    if not answer.body and answer.status in _ACCEPTED and not _says_wns(answer):
        return Delivered(answer.status, _receipt(answer))
    text = answer.body.decode("utf-8", "replace")
    detail = without_urls(" ".join(text.split()))[:_DETAIL_CHARACTERS] or None
    match service:
        case Service.WNS:
            special = _wns(answer, detail, now_s)
        case Service.MOZILLA:
            special = _mozilla(answer, _errno(text), detail, now_s)
        case Service.APPLE:
            special = _apple(answer, _reason(text), detail)
        case Service.FCM:
            special = _fcm(answer, text.lower(), detail)
        case Service.OTHER:
            # A self-hosted service or a gateway answers in one of the known ways, told apart by their own marks.
            special = (
                _mozilla(answer, _errno(text), detail, now_s)
                or _apple(answer, _reason(text), detail)
                or _wns(answer, detail, now_s)
                or _fcm(answer, text.lower(), detail)
            )
    return special if special is not None else _general(answer, detail, now_s)


def _general(answer: Answer, detail: str | None, now_s: float) -> Outcome:
    status = answer.status
    if status in _ACCEPTED:
        return Delivered(status, _receipt(answer))
    if status in (404, 410):
        return Gone(status, detail)
    if status in (401, 403):
        return Unauthorised(status, AUTH_AMBIGUOUS, detail)
    if status == 413:
        return Refused("payload_too_large", status, detail)
    if 300 <= status < 400:
        return Refused("endpoint_moved", status, "redirects are not followed")
    if status in (408, 425, 429) or status >= 500 or status < 300:
        told_s = parse_retry_after(answer.headers.get("retry-after"), now_s)
        return RetryAfter(told_s, status, "throttled" if status == 429 else f"http_{status}", detail)
    return Refused(f"http_{status}", status, detail)


def _receipt(answer: Answer) -> str | None:
    """TTL as the service shortened it, and the message's own URL as a name: RFC 8030 §5."""
    parts = []
    if "ttl" in answer.headers:
        parts.append(f"ttl={answer.headers['ttl'][:12]}")
    if "location" in answer.headers:
        parts.append(f"message={endpoint_name(answer.headers['location'])}")
    return " ".join(parts) or None


def _wns(answer: Answer, detail: str | None, now_s: float) -> Outcome | None:
    told_s = parse_retry_after(answer.headers.get("x-wns-continue-after"), now_s)
    if answer.status == 406:
        if told_s is None:
            told_s = parse_retry_after(answer.headers.get("retry-after"), now_s)
        return RetryAfter(told_s, 406, "throttled", detail)
    words = {answer.headers.get(name, "").strip().lower() for name in _WNS_HEADERS}
    if 200 <= answer.status < 300 and words & _WNS_NOT_DELIVERED:
        return RetryAfter(told_s, answer.status, f"wns_{min(words & _WNS_NOT_DELIVERED)}", detail)
    return None


def _says_wns(answer: Answer) -> bool:
    return any(name in answer.headers for name in _WNS_HEADERS)


def _mozilla(answer: Answer, errno: int | None, detail: str | None, now_s: float) -> Outcome | None:
    status = answer.status
    if errno is None:
        return None
    if status == 400 and errno == 108:
        return Refused("endpoint_corrupt", status, detail)
    if status == 400 and errno in _MOZILLA_OWN_FAULTS:
        return Refused(f"mozilla_errno_{errno}", status, detail)
    if status == 401 and errno == 109:
        return Unauthorised(status, AUTH_AMBIGUOUS, detail)
    if status == 503 and errno == 202:
        return RetryAfter(parse_retry_after(answer.headers.get("retry-after"), now_s) or 0.0, 503, "http_503", detail)
    return None


def _apple(answer: Answer, reason: str | None, detail: str | None) -> Outcome | None:
    # VapidPkHashMismatch was measured with 400 and expected with 403: the reason decides, not the status.
    if reason == "VapidPkHashMismatch":
        return Unauthorised(answer.status, KEY_MISMATCH, detail)
    if reason in ("BadJwtToken", "ExpiredJwtToken", "MissingJwtToken", "BadVapidPublicKey"):
        return Unauthorised(answer.status, VAPID_CONFIG, detail)
    if reason in ("Unregistered", "ExpiredSubscription") and answer.status >= 400:
        return Gone(answer.status, detail)
    return None


def _fcm(answer: Answer, text: str, detail: str | None) -> Outcome | None:
    status = answer.status
    if "do not correspond" in text or "does not correspond" in text:
        return Unauthorised(status, KEY_MISMATCH, detail) if status in (400, 401, 403) else None
    if status == 403 and ("aud claim" in text or "invalid jwt" in text):
        return Unauthorised(status, VAPID_CONFIG, detail)
    if status == 400 and "unauthorizedregistration" in text:
        return Unauthorised(status, VAPID_CONFIG, detail)
    if status in (400, 401, 403) and "invalid push subscription endpoint" in text:
        return Unauthorised(status, AUTH_AMBIGUOUS, detail)
    return None


def _errno(text: str) -> int | None:
    value = _json_field(text, "errno")
    return value if isinstance(value, int) else None


def _reason(text: str) -> str | None:
    value = _json_field(text, "reason")
    return value if isinstance(value, str) else None


def _json_field(text: str, name: str) -> object:
    if not text.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found.get(name) if isinstance(found, dict) else None
