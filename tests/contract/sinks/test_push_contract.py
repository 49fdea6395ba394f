"""What every PushSender does: run on the in-memory sender and on the real one against the receiver."""

from dataclasses import replace

import pytest

from sinks.outcomes import Delivered, Gone, Refused, RetryAfter
from sinks.ports import PushMessage

MESSAGE = PushMessage(b'{"title": "hello"}', 60, "high", "topic-1")


async def test_an_accepted_message_arrives_as_it_was(push_world):
    outcome = await push_world.sender.send(push_world.subscribe(), MESSAGE)
    assert isinstance(outcome, Delivered)
    assert push_world.delivered() == [MESSAGE.payload]


@pytest.mark.parametrize("size", [1, 3052])
async def test_messages_of_any_permitted_size(push_world, size):
    assert isinstance(await push_world.sender.send(push_world.subscribe(), PushMessage(b"x" * size, 0)), Delivered)
    assert push_world.delivered() == [b"x" * size]


@pytest.mark.parametrize("mode", ["404", "410"])
async def test_a_dead_subscription_is_gone(push_world, mode):
    push_world.tell(mode)
    outcome = await push_world.sender.send(push_world.subscribe(), MESSAGE)
    assert isinstance(outcome, Gone)
    assert outcome.http_status == int(mode)
    assert push_world.delivered() == []


@pytest.mark.parametrize("mode", ["429", "500"])
async def test_retry_after_is_passed_on_exactly(push_world, mode):
    push_world.tell(mode, retry_after=117)
    outcome = await push_world.sender.send(push_world.subscribe(), MESSAGE)
    assert isinstance(outcome, RetryAfter)
    assert (outcome.seconds, outcome.http_status) == (117.0, int(mode))


async def test_a_server_error_without_advice_leaves_the_time_to_the_caller(push_world):
    push_world.tell("500")
    assert (await push_world.sender.send(push_world.subscribe(), MESSAGE)).seconds is None


async def test_no_answer_is_a_timeout_and_not_an_exception(push_world):
    push_world.tell("hang")
    outcome = await push_world.sender.send(push_world.subscribe(), MESSAGE)
    assert isinstance(outcome, RetryAfter)
    assert outcome.error_code == "timeout"


async def test_a_payload_that_the_service_finds_too_large_is_refused(push_world):
    push_world.tell("413")
    outcome = await push_world.sender.send(push_world.subscribe(), MESSAGE)
    assert isinstance(outcome, Refused)
    assert (outcome.error_code, outcome.http_status) == ("payload_too_large", 413)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"payload": b"x" * 3053}, "payload_too_large"),
        ({"payload": b""}, "invalid_message"),
        ({"ttl_s": -1}, "invalid_message"),
        ({"urgency": "asap"}, "invalid_message"),
        ({"topic": "not base64url!"}, "invalid_message"),
    ],
)
async def test_messages_refused_before_sending(push_world, changed, code):
    outcome = await push_world.sender.send(push_world.subscribe(), replace(MESSAGE, **changed))
    assert isinstance(outcome, Refused)
    assert (outcome.error_code, outcome.http_status) == (code, None)
    assert push_world.delivered() == []


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"p256dh": ""}, "bad_subscription_keys"),
        ({"p256dh": "!!"}, "bad_subscription_keys"),
        ({"p256dh": "BAcH" + "BwcH" * 20 + "Bwc"}, "bad_subscription_keys"),
        ({"auth": ""}, "bad_subscription_keys"),
        ({"auth": "AAAAAAAAAAA"}, "bad_subscription_keys"),
        ({"endpoint": "http://127.0.0.1/x"}, "endpoint_refused"),
        ({"endpoint": "https://internal.example/x"}, "endpoint_refused"),
    ],
)
async def test_subscriptions_refused_before_sending(push_world, changed, code):
    outcome = await push_world.sender.send(replace(push_world.subscribe(), **changed), MESSAGE)
    assert isinstance(outcome, Refused)
    assert outcome.error_code == code
    assert push_world.delivered() == []


async def test_one_bad_subscription_does_not_touch_the_next(push_world):
    bad = replace(push_world.subscribe(), p256dh="")
    assert isinstance(await push_world.sender.send(bad, MESSAGE), Refused)
    assert isinstance(await push_world.sender.send(push_world.subscribe(), MESSAGE), Delivered)
