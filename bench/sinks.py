"""How fast the sinks are: `python -m bench.sinks [--messages N] [--events N]`, one JSON object on stdout.

Receivers run as processes of their own, so that the figures are the client's. `cpu` is messages per second of this
process's CPU time (getrusage), which a busy machine hardly changes; `wall` is what the clock says. The naive row is
`pywebpush.webpush_async` as its README shows it: a session for each message and the key as a string.
"""

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
from pywebpush import webpush_async

from sinks.outcomes import Delivered
from sinks.ports import AnalyticsEvent, PushMessage, PushTarget
from sinks.posthog.settings import PostHogSettings
from sinks.posthog.sink import PostHogSink
from sinks.webpush.encryption import encrypt
from sinks.webpush.sender import WebPushSender
from sinks.webpush.session import open_push_session
from sinks.webpush.settings import WebPushSettings
from sinks.webpush.vapid import VapidHeaders, VapidPair, generate_vapid_pair

ROOT = Path(__file__).resolve().parent.parent
SUBJECT = "mailto:bench@example.com"
PAYLOAD = b"x" * 300
IN_FLIGHT = 32
NAIVE_SHARE = 10


@contextmanager
def receiver(module: str) -> Iterator[dict[str, str]]:
    """A receiver process; yields the line that it prints."""
    with subprocess.Popen(
        [sys.executable, "-m", f"devstack.{module}"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    """GET, or POST of a JSON object, to a receiver's control door."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 -- loopback, our own receiver
        return json.load(answer)


async def timed(count: int, work: Callable[[], Awaitable[None]]) -> dict[str, int]:
    """Run the work and give its rates."""
    cpu, wall = _cpu_s(), time.perf_counter()
    await work()
    return {"cpu": round(count / (_cpu_s() - cpu)), "wall": round(count / (time.perf_counter() - wall))}


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def in_flight(count: int, one: Callable[[int], Awaitable[None]]) -> None:
    """Do `one` for 0..count-1 with IN_FLIGHT workers."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await one(number)

    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))


async def bench_push(address: dict[str, str], count: int) -> dict[str, Any]:
    """Encryption alone, the sender, and the naive way, in messages per second."""
    made = ask(f"{address['control_url']}/subscribe", {"count": 1000})["subscriptions"]
    targets = [PushTarget(n, one["endpoint"], one["p256dh"], one["auth"]) for n, one in enumerate(made)]
    pair = generate_vapid_pair()
    encryption = await timed(count, lambda: _encrypt_all(targets, count))
    settings = WebPushSettings(extra_hosts=("127.0.0.1",), allow_private=True)
    async with open_push_session(ca_file=address["ca_file"], allow_private=True) as session:
        sender = WebPushSender(session, VapidHeaders(pair, SUBJECT), settings)

        async def one(number: int) -> None:
            outcome = await sender.send(targets[number % 1000], PushMessage(PAYLOAD, 60, topic=f"{number}"))
            assert isinstance(outcome, Delivered), outcome

        await in_flight(200, one)
        sent = await timed(count, lambda: in_flight(count, one))
    naive_count = count // NAIVE_SHARE
    naive = await timed(naive_count, lambda: _naive(address, targets, pair, naive_count))
    stats = ask(f"{address['control_url']}/stats")
    assert stats["undecryptable"] == stats["bad_vapid"] == 0, stats
    return {"encryption": encryption, "sender": sent, "naive": naive, "ratio": round(sent["cpu"] / naive["cpu"], 1)}


async def _encrypt_all(targets: list[PushTarget], count: int) -> None:
    for number in range(count):
        encrypt(targets[number % 1000], PAYLOAD)


async def _naive(address: dict[str, str], targets: list[PushTarget], pair: VapidPair, count: int) -> None:
    import ssl  # noqa: PLC0415

    tls = ssl.create_default_context(cafile=address["ca_file"])

    async def one(number: int) -> None:
        target = targets[number % 1000]
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session:
            await webpush_async(
                {"endpoint": target.endpoint, "keys": {"p256dh": target.p256dh, "auth": target.auth}},
                PAYLOAD,
                vapid_private_key=pair.private,
                vapid_claims={"sub": SUBJECT},
                ttl=60,
                aiohttp_session=session,
            )

    await in_flight(count, one)


async def bench_posthog(url: str, count: int) -> dict[str, Any]:
    """Events per second through the sink for several batch sizes."""
    rates: dict[str, Any] = {}
    async with aiohttp.ClientSession() as session:
        sink = PostHogSink(session, PostHogSettings(url, "phc_bench", timeout_s=60))
        for size in (1, 100, 500):
            batches = max(1, min(count, 2000 * size) // size)
            batch = [_event(number) for number in range(size)]

            async def one(_: int, batch: list[AnalyticsEvent] = batch) -> None:
                outcome = await sink.send_batch(batch)
                assert outcome.error_code is None, outcome

            rates[f"batch_{size}"] = await timed(batches * size, lambda: _in_turn(batches, one))  # noqa: B023
    return rates


async def _in_turn(count: int, one: Callable[[int], Awaitable[None]]) -> None:
    for number in range(count):
        await one(number)


def _event(number: int) -> AnalyticsEvent:
    properties = {"target": f"restaurant-{number}", "platform": "ios", "session_id": f"{number:032x}", "rank": number}
    return AnalyticsEvent(uuid4(), "review.created", f"member-{number}", datetime.now(UTC), properties)


def main() -> None:
    """Run all and print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m bench.sinks", description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=200_000)
    arguments = parser.parse_args()
    with receiver("push_receiver") as push:
        result = {"push_per_s": asyncio.run(bench_push(push, arguments.messages))}
    with receiver("posthog_receiver") as posthog:
        result["posthog_per_s"] = asyncio.run(bench_posthog(posthog["url"], arguments.events))
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
