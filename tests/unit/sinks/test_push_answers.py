"""Every row of the reference sheet's table A4, as a golden table."""

import pytest

from sinks.outcomes import Delivered, Gone, Refused, RetryAfter, Unauthorised, concerns_subscription
from sinks.webpush.answers import AUTH_AMBIGUOUS, KEY_MISMATCH, VAPID_CONFIG, Answer, classify
from sinks.webpush.endpoints import Service

NOW_S = 1_800_000_000.0
ALL = list(Service)
FCM, MOZILLA, APPLE, WNS, OTHER = Service.FCM, Service.MOZILLA, Service.APPLE, Service.WNS, Service.OTHER


def errno(number: int, status: int = 400) -> str:
    return f'{{"code": {status}, "errno": {number}, "error": "text", "more_info": "text"}}'


def reason(word: str) -> str:
    return f'{{"reason": "{word}"}}'


FCM_MISMATCH = (
    "the VAPID credentials in the authorization header do not correspond to the credentials used to create the "
    "subscriptions."
)

# service, status, headers, body, expected type, expected code or seconds
ROWS = [
    # all: accepted, dead
    *[(service, status, {}, "", Delivered, None) for service in ALL for status in (200, 201, 202)],
    *[(service, status, {}, "", Gone, None) for service in ALL for status in (404, 410)],
    *[(MOZILLA, 404 if number == 102 else 410, {}, errno(number), Gone, None) for number in (102, 103, 105, 106)],
    (FCM, 410, {}, "push subscription has unsubscribed or expired.", Gone, None),
    # FCM
    (FCM, 403, {}, FCM_MISMATCH, Unauthorised, KEY_MISMATCH),
    (
        FCM,
        403,
        {},
        "the key in the authorization header does not correspond to the sender ID",
        Unauthorised,
        KEY_MISMATCH,
    ),
    (FCM, 403, {}, "aud claim in the token MUST include the origin of the endpoint", Unauthorised, VAPID_CONFIG),
    (FCM, 403, {}, "invalid JWT provided", Unauthorised, VAPID_CONFIG),
    (FCM, 400, {}, "UnauthorizedRegistration", Unauthorised, VAPID_CONFIG),
    (FCM, 401, {}, "", Unauthorised, AUTH_AMBIGUOUS),
    (FCM, 400, {}, "invalid push subscription endpoint", Unauthorised, AUTH_AMBIGUOUS),
    (FCM, 403, {}, "something new", Unauthorised, AUTH_AMBIGUOUS),
    (FCM, 400, {}, "something else", Refused, "http_400"),
    (FCM, 429, {"retry-after": "30"}, "", RetryAfter, 30.0),
    (FCM, 503, {}, "", RetryAfter, None),
    # Mozilla
    *[(MOZILLA, 400, {}, errno(n), Refused, f"mozilla_errno_{n}") for n in (101, 110, 111, 112, 113)],
    (MOZILLA, 400, {}, errno(108), Refused, "endpoint_corrupt"),
    (MOZILLA, 401, {}, errno(109, 401), Unauthorised, AUTH_AMBIGUOUS),
    (MOZILLA, 413, {}, errno(104, 413), Refused, "payload_too_large"),
    (MOZILLA, 429, {"retry-after": "117"}, errno(201, 429), RetryAfter, 117.0),
    (MOZILLA, 500, {}, errno(999, 500), RetryAfter, None),
    *[(MOZILLA, 502, {}, errno(n, 502), RetryAfter, None) for n in (900, 901, 902, 903)],
    (MOZILLA, 503, {"retry-after": "120"}, errno(201, 503), RetryAfter, 120.0),
    (MOZILLA, 503, {}, errno(202, 503), RetryAfter, 0.0),
    (MOZILLA, 301, {"location": "https://elsewhere.example/"}, "", Refused, "endpoint_moved"),
    # Apple
    (APPLE, 403, {}, reason("BadJwtToken"), Unauthorised, VAPID_CONFIG),
    (APPLE, 400, {}, reason("VapidPkHashMismatch"), Unauthorised, KEY_MISMATCH),
    (APPLE, 403, {}, reason("VapidPkHashMismatch"), Unauthorised, KEY_MISMATCH),
    (APPLE, 410, {}, reason("Unregistered"), Gone, None),
    (APPLE, 413, {}, reason("PayloadTooLarge"), Refused, "payload_too_large"),
    (APPLE, 429, {}, reason("TooManyRequests"), RetryAfter, None),
    (APPLE, 500, {}, reason("InternalServerError"), RetryAfter, None),
    (APPLE, 400, {}, reason("BadWebPushTopic"), Refused, "http_400"),
    (APPLE, 403, {}, "", Unauthorised, AUTH_AMBIGUOUS),
    # WNS: 2xx is not always a delivery
    (WNS, 201, {"x-wns-status": "received"}, "", Delivered, None),
    (WNS, 201, {"x-wns-status": "dropped"}, "", RetryAfter, None),
    (WNS, 200, {"x-wns-notificationstatus": "Dropped"}, "", RetryAfter, None),
    (WNS, 201, {"x-wns-status": "channelthrottled", "x-wns-continue-after": "45"}, "", RetryAfter, 45.0),
    (WNS, 406, {"x-wns-continue-after": "90"}, "", RetryAfter, 90.0),
    (WNS, 406, {}, "", RetryAfter, None),
    (WNS, 413, {}, "", Refused, "payload_too_large"),
    # others
    *[(OTHER, status, {}, "", Unauthorised, AUTH_AMBIGUOUS) for status in (401, 403)],
    *[(service, 307, {}, "", Refused, "endpoint_moved") for service in ALL],
    *[(service, 413, {}, "", Refused, "payload_too_large") for service in ALL],
    *[(service, status, {}, "", RetryAfter, None) for service in ALL for status in (408, 429, 500, 502, 503, 504)],
    (OTHER, 429, {"retry-after": "Fri, 15 Jan 2027 08:01:00 GMT"}, "", RetryAfter, 60.0),
    (OTHER, 204, {}, "", RetryAfter, None),
    (OTHER, 418, {}, "", Refused, "http_418"),
    (OTHER, 400, {}, "[" * 5000, Refused, "http_400"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]}-{row[3][:20]}")
def test_each_row_of_the_table(row):
    service, status, headers, body, kind, said = row
    outcome = classify(Answer(status, headers, body.encode()), service, NOW_S)
    assert type(outcome) is kind
    assert outcome.http_status == status
    if kind is RetryAfter:
        assert outcome.seconds == said
    elif kind in (Refused, Unauthorised):
        assert outcome.error_code == said


@pytest.mark.parametrize(
    ("service", "status", "body"), [(FCM, 403, "invalid JWT provided"), (APPLE, 403, reason("BadJwtToken"))]
)
def test_a_fault_of_our_token_never_says_gone(service, status, body):
    assert not isinstance(classify(Answer(status, {}, body.encode()), service, NOW_S), Gone)


def test_a_corrupt_or_moved_endpoint_speaks_about_the_subscription_but_a_large_payload_does_not():
    corrupt = classify(Answer(400, {}, errno(108).encode()), MOZILLA, NOW_S)
    moved = classify(Answer(301, {}, b""), MOZILLA, NOW_S)
    large = classify(Answer(413, {}, b""), MOZILLA, NOW_S)
    assert [concerns_subscription(outcome) for outcome in (corrupt, moved, large)] == [True, True, False]


def test_the_receipt_shows_ttl_and_never_the_message_url():
    headers = {"ttl": "60", "location": "https://updates.push.services.mozilla.com/m/secret-capability"}
    outcome = classify(Answer(201, headers), MOZILLA, NOW_S)
    assert isinstance(outcome, Delivered)
    assert "ttl=60" in outcome.detail
    assert "secret" not in outcome.detail


def test_an_endpoint_quoted_in_a_body_does_not_reach_the_detail():
    body = b"no such subscription https://fcm.googleapis.com/fcm/send/secret-token here"
    outcome = classify(Answer(410, {}, body), FCM, NOW_S)
    assert "secret-token" not in outcome.detail
    assert "fcm.googleapis.com#" in outcome.detail


def test_a_long_or_binary_body_becomes_a_short_detail():
    outcome = classify(Answer(500, {}, b"\xff\x00" * 5000), OTHER, NOW_S)
    assert len(outcome.detail) <= 200
