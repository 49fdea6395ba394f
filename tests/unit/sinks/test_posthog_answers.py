"""What PostHog's answers mean, the ones that look like success included."""

import pytest

from sinks.outcomes import Delivered, Refused, RetryAfter, Unauthorised
from sinks.posthog.answers import Answer, Split, classify

NOW_S = 1_800_000_000.0


@pytest.mark.parametrize("body", ['{"status": 1}', '{"status": "Ok"}', '{"status":"Ok","quota_limited":[]}'])
def test_a_2xx_that_says_so_is_delivered(body):
    assert classify(Answer(200, {}, body.encode()), NOW_S) == Delivered(200)


@pytest.mark.parametrize(
    ("status", "headers", "body", "code", "seconds"),
    [
        (200, {}, '{"status": 1, "quota_limited": ["events"]}', "quota_limited", None),
        (200, {"retry-after": "60"}, '{"quota_limited": ["events"]}', "quota_limited", 60.0),
        (200, {}, "<html>sign in to this network</html>", "unconfirmed", None),
        (200, {}, "", "unconfirmed", None),
        (204, {}, "", "unconfirmed", None),
        (200, {}, '{"status": 0}', "unconfirmed", None),
        (200, {}, "[" * 100_000, "unconfirmed", None),
        (302, {}, "", "http_302", None),
        (402, {}, "billing", "billing_limit", None),
        (404, {}, "", "http_404", None),
        (408, {}, "", "http_408", None),
        (429, {"retry-after": "3600"}, "", "throttled", 3600.0),
        (500, {}, "", "http_500", None),
        (503, {"retry-after": "5"}, "", "http_503", 5.0),
    ],
)
def test_not_delivered_now(status, headers, body, code, seconds):
    outcome = classify(Answer(status, headers, body.encode()), NOW_S)
    assert isinstance(outcome, RetryAfter)
    assert (outcome.error_code, outcome.seconds, outcome.http_status) == (code, seconds, status)


@pytest.mark.parametrize(
    ("status", "body"), [(401, ""), (403, ""), (400, "Project API key invalid"), (400, '{"code": "missing_api_key"}')]
)
def test_a_wrong_token_is_nobody_elses_fault(status, body):
    assert isinstance(classify(Answer(status, {}, body.encode()), NOW_S), Unauthorised)


def test_requests_to_split():
    assert classify(Answer(413, {}), NOW_S) is Split.TOO_LARGE
    assert classify(Answer(400, {}, b"event without name"), NOW_S) is Split.BAD_REQUEST


def test_unsupported_media_is_refused():
    assert classify(Answer(415, {}), NOW_S) == Refused("http_415", 415, None)
