"""What only the real push client shows: identity, keys, connections, answers that lie, bad deployments."""

import asyncio
import ssl

import pytest

from devstack.push_receiver import PushReceiver
from sinks.breaker import BreakerSettings, State
from sinks.outcomes import Delivered, Gone, Refused, RetryAfter, Unauthorised, was_attempted
from sinks.ports import PushMessage, PushTarget
from sinks.webpush.auth_switch import AuthSwitchSettings
from sinks.webpush.sender import WebPushSender
from sinks.webpush.session import open_push_session
from sinks.webpush.settings import WebPushSettings
from sinks.webpush.vapid import VapidHeaders, generate_vapid_pair, vapid_key_id

SUBJECT = "mailto:ops@example.com"
MESSAGE = PushMessage(b'{"title": "hello"}', 60, "high", "topic-1")
PAIR = generate_vapid_pair()
STALE_PAIR = generate_vapid_pair()
# A breaker that never opens, where the auth switch or an answer is what the test is about.
NO_BREAKER = BreakerSettings(minimum_calls=10**9)


def settings(**changed):
    return WebPushSettings(**({"timeout_s": 20.0, "extra_hosts": ("127.0.0.1",), "allow_private": True} | changed))


def sender(session, pair=PAIR, previous=(), **changed):
    return WebPushSender(session, VapidHeaders(pair, SUBJECT, previous), settings(**changed))


def target(receiver, number=1, server_key=None, key_id=None):
    made = receiver.subscribe(server_key)
    return PushTarget(number, made["endpoint"], made["p256dh"], made["auth"], key_id)


async def send_all(pusher, targets, limit=64):
    gate = asyncio.Semaphore(limit)

    async def one(whom):
        async with gate:
            return await pusher.send(whom, MESSAGE)

    return await asyncio.gather(*map(one, targets))


async def test_headers_arrive_and_the_vapid_token_is_accepted(push_receiver, push_session):
    assert isinstance(await sender(push_session).send(target(push_receiver), MESSAGE), Delivered)
    stats = push_receiver.stats(1)
    assert (stats["accepted"], stats["bad_vapid"], stats["undecryptable"], stats["malformed"]) == (1, 0, 0, 0)
    shown = stats["last"][0]
    assert (shown["ttl"], shown["urgency"], shown["topic"]) == (60, "high", "topic-1")


async def test_a_thousand_messages_share_few_connections(tls_files, push_session):
    connections = set()

    class Counting(PushReceiver):
        async def _push(self, request):
            connections.add(request.transport.get_extra_info("peername"))
            return await super()._push(request)

    receiver = Counting(tls_files)
    await receiver.start()
    outcomes = await send_all(sender(push_session), [target(receiver, n) for n in range(1000)], limit=16)
    await receiver.stop()
    assert all(isinstance(outcome, Delivered) for outcome in outcomes)
    assert len(connections) <= 16


async def test_a_retry_of_the_same_message_is_recognised_by_its_topic(push_receiver, push_session):
    pusher, whom = sender(push_session), target(push_receiver)
    await pusher.send(whom, MESSAGE)
    await pusher.send(whom, MESSAGE)
    stats = push_receiver.stats()
    assert (stats["accepted"], stats["distinct"], stats["duplicates"]) == (2, 1, 1)


async def test_two_keys_serve_old_and_new_subscriptions_at_once(push_receiver, push_session):
    pusher = sender(push_session, previous=[STALE_PAIR])
    new = target(push_receiver, 1, PAIR.public, vapid_key_id(PAIR.public))
    old = target(push_receiver, 2, STALE_PAIR.public, vapid_key_id(STALE_PAIR.public))
    unnamed = target(push_receiver, 3, PAIR.public)
    lost = target(push_receiver, 4, None, "0123456789abcdef")
    outcomes = await send_all(pusher, [new, old, unnamed, lost])
    assert [type(outcome) for outcome in outcomes] == [Delivered, Delivered, Delivered, Refused]
    assert outcomes[3].error_code == "unknown_vapid_key"


async def test_a_redirect_is_never_followed(push_receiver, push_session, plain_session):
    whom = target(push_receiver)
    push_receiver.behaviours.tell({"mode": "307", "headers": {"Location": target(push_receiver).endpoint}, "count": 1})
    outcome = await sender(push_session).send(whom, MESSAGE)
    assert isinstance(outcome, Refused)
    assert outcome.error_code == "endpoint_moved"
    assert push_receiver.stats()["received"] == 1


@pytest.mark.parametrize(
    ("mode", "code"),
    [("fcm_mismatch", "auth_undecided"), ("mozilla_auth", "auth_undecided"), ("apple_mismatch", "auth_undecided")],
)
async def test_a_lone_auth_failure_is_undecided_and_nobody_is_blamed(push_receiver, push_session, mode, code):
    push_receiver.behaviours.tell({"mode": mode})
    outcome = await sender(push_session).send(target(push_receiver), MESSAGE)
    assert isinstance(outcome, RetryAfter)
    assert outcome.error_code == code


async def test_an_accepted_status_with_a_dropped_header_is_no_delivery(push_receiver, push_session):
    push_receiver.behaviours.tell({"mode": "wns_dropped"})
    outcome = await sender(push_session).send(target(push_receiver), MESSAGE)
    assert isinstance(outcome, RetryAfter)
    assert outcome.error_code == "wns_dropped"


async def test_a_wrong_key_costs_few_requests_and_no_subscription(push_receiver, push_session):
    targets = [target(push_receiver, n, STALE_PAIR.public) for n in range(3000)]
    outcomes = await send_all(sender(push_session, breaker=NO_BREAKER), targets)
    assert all(isinstance(outcome, RetryAfter) for outcome in outcomes)
    assert push_receiver.stats()["received"] < 50
    assert sum(was_attempted(outcome) for outcome in outcomes) == push_receiver.stats()["received"]


async def test_two_in_a_hundred_stale_subscriptions_are_quarantined_and_no_other(push_receiver, push_session):
    pusher = sender(push_session)
    stale = set(range(25, 1000, 50))
    targets = [target(push_receiver, n, (STALE_PAIR if n in stale else PAIR).public) for n in range(1000)]
    blamed: set[int] = set()
    for _ in range(3):
        alive = [whom for whom in targets if whom.subscription_id not in blamed]
        for whom, outcome in zip(alive, await send_all(pusher, alive), strict=True):
            assert isinstance(outcome, Delivered | Unauthorised) or outcome.error_code == "auth_undecided"
            if isinstance(outcome, Unauthorised):
                blamed.add(whom.subscription_id)
    assert blamed == stale


async def test_a_corrected_key_recovers_by_one_probe(push_receiver, push_session):
    now = [0.0]
    pusher = WebPushSender(
        push_session,
        VapidHeaders(PAIR, SUBJECT),
        settings(auth_switch=AuthSwitchSettings(failures=3)),
        clock=lambda: now[0],
    )
    targets = [target(push_receiver, n) for n in range(20)]
    push_receiver.behaviours.tell({"mode": "403"})
    await send_all(pusher, targets)
    before = push_receiver.stats()["received"]
    outcome = await pusher.send(targets[0], MESSAGE)
    assert (outcome.error_code, push_receiver.stats()["received"]) == ("auth_paused", before)
    push_receiver.behaviours.tell({"mode": "ok"})
    now[0] = 60.0
    assert isinstance(await pusher.send(targets[0], MESSAGE), Delivered)
    assert all(isinstance(found, Delivered) for found in await send_all(pusher, targets))


async def test_a_probe_that_finds_a_dead_subscription_decides_nothing(push_receiver, push_session):
    now = [0.0]
    pusher = WebPushSender(
        push_session,
        VapidHeaders(PAIR, SUBJECT),
        settings(auth_switch=AuthSwitchSettings(failures=3)),
        clock=lambda: now[0],
    )
    push_receiver.behaviours.tell({"mode": "403"})
    await send_all(pusher, [target(push_receiver, n) for n in range(20)])
    now[0] = 60.0
    push_receiver.behaviours.tell({"mode": "410", "count": 1})
    assert isinstance(await pusher.send(target(push_receiver, 50), MESSAGE), Gone)
    assert isinstance(await pusher.send(target(push_receiver, 51), MESSAGE), Delivered)


async def test_a_failing_service_opens_its_circuit_and_then_costs_nothing(push_receiver, push_session):
    pusher = sender(push_session)
    whom = target(push_receiver)
    assert isinstance(await pusher.send(whom, MESSAGE), Delivered)
    push_receiver.behaviours.tell({"mode": "503", "retry_after": 300})
    outcomes = [await pusher.send(whom, MESSAGE) for _ in range(40)]
    assert push_receiver.stats()["received"] <= 22
    assert outcomes[-1].error_code == "circuit_open"
    assert outcomes[-1].seconds > 290
    assert not was_attempted(outcomes[-1])
    assert [circuit.breaker.state for circuit in pusher.circuits()] == [State.OPEN]


async def test_a_hanging_service_does_not_hold_another(tls_files, push_receiver, push_session):
    other = PushReceiver(tls_files)
    await other.start()
    pusher = sender(push_session, timeout_s=3.0)
    push_receiver.behaviours.tell({"mode": "hang"})
    slow = [asyncio.create_task(pusher.send(target(push_receiver, n), MESSAGE)) for n in range(12)]
    async with asyncio.timeout(2.5):
        assert isinstance(await pusher.send(target(other), MESSAGE), Delivered)
    assert {outcome.error_code for outcome in await asyncio.gather(*slow)} <= {"timeout", "circuit_open"}
    await other.stop()


async def test_a_cancelled_send_leaves_no_probe_behind(push_receiver, push_session):
    pusher = sender(push_session, breaker=BreakerSettings(start_half_open=True))
    push_receiver.behaviours.tell({"mode": "hang", "count": 1})
    task = asyncio.create_task(pusher.send(target(push_receiver), MESSAGE))
    while push_receiver.stats()["received"] == 0:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(await pusher.send(target(push_receiver), MESSAGE), Delivered)


async def test_single_subscriptions_and_fractions_can_be_told_apart(push_receiver, push_session):
    pusher = sender(push_session, breaker=NO_BREAKER)
    targets = [target(push_receiver, n) for n in range(400)]
    push_receiver.behaviours.tell({"mode": "410", "subscriptions": [targets[3].endpoint]})
    outcomes = await send_all(pusher, targets)
    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Gone)] == [3]
    push_receiver.behaviours.tell({"mode": "410", "fraction": 0.25, "by": "subscription"})
    first, second = await send_all(pusher, targets), await send_all(pusher, targets)
    gone = [n for n, outcome in enumerate(first) if isinstance(outcome, Gone)]
    assert 60 < len(gone) < 140
    assert [n for n, outcome in enumerate(second) if isinstance(outcome, Gone)] == gone


async def test_a_certificate_of_a_stranger_is_not_trusted(push_receiver):
    async with open_push_session(allow_private=True) as session:
        outcome = await sender(session).send(target(push_receiver), MESSAGE)
    assert isinstance(outcome, RetryAfter)
    assert outcome.error_code == "connection_failed"
    assert push_receiver.stats()["received"] == 0


async def test_an_endless_answer_is_cut_and_its_status_counts(tls_files, push_session):
    async def endless(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 201 x\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
                await writer.drain()
        except OSError:
            writer.close()

    context: ssl.SSLContext = tls_files.server_context()
    server = await asyncio.start_server(endless, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    made = PushReceiver(tls_files).subscribe()
    whom = PushTarget(1, f"https://127.0.0.1:{port}/push/x", made["p256dh"], made["auth"])
    assert isinstance(await sender(push_session).send(whom, MESSAGE), Delivered)
    server.close()
    await server.wait_closed()
