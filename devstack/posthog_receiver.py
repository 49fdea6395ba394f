"""A PostHog that can be told to misbehave: takes /batch/, validates as the capture service does, counts uuids.

Own process: `python -m devstack.posthog_receiver [--port N]` prints one JSON line {url} and ends when stdin closes.
How it can be told to answer: devstack.receiving. Extra modes: "413_over" (413 when a batch has more than `limit`
events), "quota_limited" (200 that keeps nothing), "accept_then_500" and "accept_then_hang" (keeps, then loses the
answer). GET /uuids gives {uuid: times kept}; GET /stats?last=N shows counts and the last N events.
"""

import argparse
import asyncio
import collections
import gzip
import json
import uuid
import zlib
from typing import Any

from aiohttp import web

from devstack.receiving import Behaviour, Behaviours, control_routes, hang, run_as_process

MAX_BODY_BYTES = 20 * 1024 * 1024
_LAST_KEPT = 1000
_MODES = ("413_over", "quota_limited", "accept_then_500", "accept_then_hang")


class PostHogReceiver:
    """The receiver; `start` it within a running loop. `url` is known after that."""

    def __init__(self, *, api_key: str | None = None, seed: int = 0) -> None:
        self.url = ""
        self.behaviours = Behaviours(_MODES, seed)
        self._api_key = api_key
        self._counts: collections.Counter[str] = collections.Counter()
        self._answered: collections.Counter[int] = collections.Counter()
        self._uuids: collections.Counter[bytes] = collections.Counter()
        self._merge_keys: set[int] = set()
        self._last: collections.deque[dict[str, Any]] = collections.deque(maxlen=_LAST_KEPT)
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0) -> None:
        """Listen on loopback over plain HTTP."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.add_routes(control_routes(self.behaviours, self.stats))
        app.add_routes([web.post("/batch/", self._batch), web.post("/batch", self._batch)])
        app.add_routes([web.get("/uuids", self._list_uuids)])
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port, backlog=1024).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Close all connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def stats(self, last: int = 0) -> dict[str, Any]:
        """Counts since the start. `received` counts events kept, repeats included; `distinct` their uuids.

        `merged` counts what PostHog would hold after merging: distinct (uuid, day, event, distinct_id).
        """
        names = ("requests", "received", "historical_requests", "malformed")
        return {
            **{name: self._counts[name] for name in names},
            "distinct": len(self._uuids),
            "merged": len(self._merge_keys),
            "duplicates": self._counts["received"] - len(self._uuids),
            "answered": {str(status): count for status, count in sorted(self._answered.items())},
            "last": list(self._last)[-last:] if last > 0 else [],
        }

    async def _list_uuids(self, _: web.Request) -> web.Response:
        return web.json_response({str(uuid.UUID(bytes=raw)): count for raw, count in self._uuids.items()})

    async def _batch(self, request: web.Request) -> web.Response:
        body = await request.read()
        self._counts["requests"] += 1
        behaviour = self.behaviours.choose()
        response = await self._answer(body, behaviour)
        self._answered[response.status] += 1
        return response

    async def _answer(self, body: bytes, behaviour: Behaviour) -> web.Response:
        status = behaviour.status()
        if behaviour.mode == "hang":
            return await hang()
        if status is not None and status != 200:
            return behaviour.response(status, "")
        if behaviour.mode == "quota_limited":
            return behaviour.response(200, '{"status": 1, "quota_limited": ["events"]}')
        try:
            batch = self._read(body)
        except ValueError as error:
            self._counts["malformed"] += 1
            return web.Response(status=401 if "api_key" in str(error) else 400, text=str(error))
        if behaviour.mode == "413_over" and len(batch["batch"]) > (behaviour.limit or 0):
            return behaviour.response(413, "payload too large")
        self._keep(batch)
        if behaviour.mode == "accept_then_hang":
            return await hang()
        if behaviour.mode == "accept_then_500":
            return behaviour.response(500, "")
        return behaviour.response(200, '{"status": "Ok"}')

    def _read(self, body: bytes) -> dict[str, Any]:
        """The request as the capture service reads it; raises ValueError with its reason."""
        if body[:2] == b"\x1f\x8b":
            try:
                body = gzip.decompress(body)
            except (OSError, EOFError, zlib.error) as error:
                raise ValueError("invalid gzip") from error
        batch = json.loads(body)
        if not isinstance(batch, dict) or not isinstance(batch.get("batch"), list):
            raise ValueError("no batch")  # noqa: TRY004 -- a fault of the message, like the ones below
        if not batch.get("api_key") or (self._api_key is not None and batch["api_key"] != self._api_key):
            raise ValueError("api_key is missing or wrong")
        if not batch["batch"]:
            raise ValueError("empty batch")
        for event in batch["batch"]:
            if not event.get("event") or not event.get("distinct_id"):
                raise ValueError("event without name or distinct_id")
            uuid.UUID(event["uuid"])
        return batch

    def _keep(self, batch: dict[str, Any]) -> None:
        self._counts["historical_requests"] += bool(batch.get("historical_migration"))
        for event in batch["batch"]:
            self._counts["received"] += 1
            raw = uuid.UUID(event["uuid"]).bytes
            self._uuids[raw] += 1
            day = str(event.get("timestamp", ""))[:10]
            self._merge_keys.add(hash((raw, day, event["event"], event["distinct_id"])))
            self._last.append(event)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m devstack.posthog_receiver", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--api-key", help="the only project key that is accepted (default: any)")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    receiver = PostHogReceiver(api_key=arguments.api_key)

    async def start() -> dict[str, Any]:
        await receiver.start(arguments.port)
        return {"url": receiver.url}

    await run_as_process(start, receiver.stop)


def main() -> None:
    """Run as a process."""
    asyncio.run(_serve(_parse_arguments()))


if __name__ == "__main__":
    main()
