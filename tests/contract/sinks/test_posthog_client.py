"""What only the real PostHog client shows: splitting, lost answers, the wire format, a receiver that is away."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import aiohttp
import pytest

from sinks.outcomes import Delivered, Refused, RetryAfter, Unauthorised
from sinks.ports import AnalyticsEvent
from sinks.posthog.settings import PostHogSettings
from sinks.posthog.sink import PostHogSink

NOW = datetime.now(UTC)


def events(count, *, age=timedelta(0), size=0):
    return [AnalyticsEvent(uuid4(), "a", f"m{n}", NOW - age, {"x": "y" * size}) for n in range(count)]


@pytest.fixture
def sink(posthog_receiver, plain_session):
    return PostHogSink(plain_session, PostHogSettings(posthog_receiver.url, "phc_test", timeout_s=1.5))


async def test_413_splits_until_the_batch_fits(sink, posthog_receiver):
    posthog_receiver.behaviours.tell({"mode": "413_over", "limit": 3})
    outcome = await sink.send_batch(events(10))
    assert all(isinstance(found, Delivered) for found in outcome.per_event)
    assert (outcome.http_status, outcome.error_code) == (200, None)
    stats = posthog_receiver.stats()
    assert (stats["received"], stats["distinct"], stats["duplicates"]) == (10, 10, 0)
    assert outcome.requests == stats["requests"] > 4


async def test_a_batch_over_the_body_limit_is_split_before_sending(posthog_receiver, plain_session):
    settings = PostHogSettings(posthog_receiver.url, "phc_test", request_limit_bytes=5_000)
    outcome = await PostHogSink(plain_session, settings).send_batch(events(16, size=500))
    assert all(isinstance(found, Delivered) for found in outcome.per_event)
    assert outcome.requests == 4 or outcome.requests > 1
    assert posthog_receiver.stats()["received"] == 16


async def test_one_poisonous_event_answered_with_400_does_not_hold_the_others(
    plain_session, posthog_receiver, monkeypatch
):
    batch = events(40)
    poison = str(batch[17].uuid)
    read = posthog_receiver._read

    def picky(body):
        read_batch = read(body)
        if any(event["uuid"] == poison for event in read_batch["batch"]):
            raise ValueError("an event that this version cannot read")
        return read_batch

    monkeypatch.setattr(posthog_receiver, "_read", picky)
    outcome = await PostHogSink(plain_session, PostHogSettings(posthog_receiver.url, "phc_test")).send_batch(batch)
    refused = [index for index, found in enumerate(outcome.per_event) if isinstance(found, Refused)]
    assert refused == [17]
    assert outcome.per_event[17].error_code == "bad_request"
    assert posthog_receiver.stats()["received"] == 39


async def test_a_400_to_everything_costs_a_bounded_number_of_requests(sink, posthog_receiver):
    posthog_receiver.behaviours.tell({"mode": "400"})
    outcome = await sink.send_batch(events(200))
    assert outcome.requests <= 30
    assert not any(isinstance(found, Delivered) for found in outcome.per_event)


async def test_a_wrong_token_stops_the_batch_at_once(posthog_receiver, plain_session):
    outcome = await PostHogSink(plain_session, PostHogSettings(posthog_receiver.url, "phc_wrong")).send_batch(
        events(50)
    )
    assert all(isinstance(found, Unauthorised) for found in outcome.per_event)
    assert outcome.requests == 1


@pytest.mark.parametrize("mode", ["accept_then_500", "accept_then_hang"])
async def test_a_lost_answer_is_retried_under_the_same_uuids_and_merges(sink, posthog_receiver, mode):
    batch = events(20)
    posthog_receiver.behaviours.tell({"mode": mode, "count": 1})
    first = await sink.send_batch(batch)
    assert all(isinstance(found, RetryAfter) for found in first.per_event)
    second = await sink.send_batch(batch)
    assert all(isinstance(found, Delivered) for found in second.per_event)
    stats = posthog_receiver.stats()
    assert (stats["received"], stats["distinct"], stats["merged"]) == (40, 20, 20)


async def test_after_a_refusal_the_rest_of_a_split_batch_is_not_sent(sink, posthog_receiver, monkeypatch):
    answers = iter([413, 413, 200, 503, 500, 500])

    async def scripted(_body, _behaviour):
        status = next(answers)
        return aiohttp.web.Response(status=status, text='{"status": 1}' if status == 200 else "")

    monkeypatch.setattr(posthog_receiver, "_answer", scripted)
    outcome = await sink.send_batch(events(8))
    assert [type(found) for found in outcome.per_event] == [Delivered] * 2 + [RetryAfter] * 6
    assert {found.http_status for found in outcome.per_event[2:]} == {503}
    assert outcome.requests == 4


async def test_replayed_events_are_marked_historical_and_keep_their_time(sink, posthog_receiver):
    old = events(3, age=timedelta(hours=49))
    await sink.send_batch(old)
    await sink.send_batch([*events(1, age=timedelta(hours=49)), *events(1)])
    assert posthog_receiver.stats()["historical_requests"] == 1
    shown = posthog_receiver.stats(5)["last"][0]
    assert datetime.fromisoformat(shown["timestamp"]) == old[0].timestamp
    assert shown["properties"]["$ignore_sent_at"] is True


async def test_a_redirect_is_not_followed(sink, posthog_receiver):
    posthog_receiver.behaviours.tell({"mode": "307", "headers": {"Location": f"{posthog_receiver.url}/batch/"}})
    outcome = await sink.send_batch(events(1))
    assert outcome.error_code == "http_307"
    assert posthog_receiver.stats()["requests"] == 1


async def test_a_receiver_that_is_away_is_a_retry(posthog_receiver, plain_session):
    sink = PostHogSink(plain_session, PostHogSettings(posthog_receiver.url, "phc_test"))
    await posthog_receiver.stop()
    outcome = await sink.send_batch(events(2))
    assert [found.error_code for found in outcome.per_event] == ["connection_failed"] * 2


async def test_an_endless_answer_is_cut(plain_session):
    async def endless(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
                await writer.drain()
        except OSError:
            writer.close()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    outcome = await PostHogSink(plain_session, PostHogSettings(f"http://{host}:{port}", "k")).send_batch(events(1))
    assert outcome.error_code == "http_500"
    server.close()
    await server.wait_closed()
