"""What the test receivers have in common: being told how to answer, and living as a process of their own.

POST /control takes one JSON object:
  mode           "ok", "hang", a status such as "410", or a mode that one receiver adds
  retry_after    seconds, sent as Retry-After
  fraction       0..1: only this share is answered so, the rest as "ok" (seeded: the same every time)
  by             "request" (default) or "subscription": what the fraction is a share of
  subscriptions  ids or endpoints: only these are answered so, all others keep what they had
  count          only the next so many requests, then "ok" again
  body, headers  sent with the answer, to play one particular push service
  limit          a number that some modes need
"""

import asyncio
import json
import random
import signal
import sys
import threading
import zlib
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

_FIELDS = frozenset({"mode", "retry_after", "fraction", "by", "subscriptions", "count", "body", "headers", "limit"})


@dataclass(slots=True)
class Behaviour:
    """How to answer. `remaining` counts down when only the next few requests are meant."""

    mode: str = "ok"
    retry_after: float | None = None
    fraction: float = 1.0
    by: str = "request"
    remaining: int | None = None
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    limit: int | None = None

    def status(self) -> int | None:
        """The status of a numeric mode, else None."""
        return int(self.mode) if self.mode.isdigit() else None

    def response(self, status: int, text: str) -> web.Response:
        """An answer with this behaviour's headers and body, `text` when it names no body."""
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["Retry-After"] = f"{self.retry_after:g}"
        body = text if self.body is None else self.body
        return web.Response(status=status, text=body, headers=headers)


def parse_behaviour(told: dict[str, Any], modes: Collection[str]) -> Behaviour:
    """Read a control object. Raises ValueError with a sentence."""
    unknown = set(told) - _FIELDS
    if unknown:
        raise ValueError(f"unknown field {min(unknown)!r}")
    mode = str(told.get("mode", ""))
    if mode not in modes and not (mode.isdigit() and 200 <= int(mode) <= 599):
        raise ValueError(f"mode must be a status or one of {', '.join(sorted(modes))}")
    fraction = float(told.get("fraction", 1.0))
    if not 0 <= fraction <= 1:
        raise ValueError("fraction must lie between 0 and 1")
    by = told.get("by", "request")
    if by not in ("request", "subscription"):
        raise ValueError("by must be request or subscription")
    return Behaviour(
        mode=mode,
        retry_after=told.get("retry_after"),
        fraction=fraction,
        by=by,
        remaining=told.get("count"),
        body=told.get("body"),
        headers=dict(told.get("headers", {})),
        limit=told.get("limit"),
    )


class Behaviours:
    """The behaviour for all, and those for single subscriptions."""

    def __init__(self, modes: Collection[str], seed: int = 0) -> None:
        self._modes = frozenset(modes) | {"ok", "hang"}
        self._for_all = Behaviour()
        self._for_one: dict[str, Behaviour] = {}
        self._random = random.Random(seed)

    def tell(self, told: dict[str, Any]) -> None:
        """Take a control object; raises ValueError. Mode "ok" for all forgets single subscriptions too."""
        behaviour = parse_behaviour(told, self._modes)
        if "subscriptions" in told:
            for name in told["subscriptions"]:
                self._for_one[str(name).rsplit("/", 1)[-1]] = behaviour
            return
        self._for_all = behaviour
        if behaviour.mode == "ok":
            self._for_one.clear()

    def choose(self, subscription: str | None = None) -> Behaviour:
        """How to answer this request."""
        behaviour = self._for_one.get(subscription or "", self._for_all)
        if not self._falls_in(behaviour, subscription):
            return Behaviour()
        if behaviour.remaining is not None:
            if behaviour.remaining <= 0:
                return Behaviour()
            behaviour.remaining -= 1
        return behaviour

    def _falls_in(self, behaviour: Behaviour, subscription: str | None) -> bool:
        if behaviour.fraction >= 1:
            return True
        if behaviour.by == "subscription":
            return zlib.crc32((subscription or "").encode()) / 2**32 < behaviour.fraction
        return self._random.random() < behaviour.fraction


def control_routes(behaviours: Behaviours, stats: Callable[[int], dict[str, Any]]) -> list[web.RouteDef]:
    """POST /control, GET /stats?last=N, GET /health."""

    async def control(request: web.Request) -> web.Response:
        try:
            behaviours.tell(await request.json())
        except (ValueError, TypeError, AttributeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"ok": True})

    async def show(request: web.Request) -> web.Response:
        return web.json_response(stats(int(request.query.get("last", "0"))))

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    return [web.post("/control", control), web.get("/stats", show), web.get("/health", health)]


async def hang() -> web.Response:
    """Never answer: ends when the client gives up or the receiver stops."""
    await asyncio.Event().wait()
    raise AssertionError("nobody sets that event")


async def run_as_process(start: Callable[[], Awaitable[dict[str, Any]]], stop: Callable[[], Awaitable[None]]) -> None:
    """Start, print one JSON line, and stop when stdin closes or on SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)

    def watch_stdin() -> None:
        while sys.stdin.buffer.read(4096):
            continue
        loop.call_soon_threadsafe(ended.set)

    sys.stdout.write(json.dumps(await start()) + "\n")
    sys.stdout.flush()
    threading.Thread(target=watch_stdin, daemon=True, name="stdin").start()
    try:
        await ended.wait()
    finally:
        await stop()
