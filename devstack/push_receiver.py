"""A push service and the browsers behind it, in one: takes pushes over TLS, checks them, decrypts them, counts them.

Own process: `python -m devstack.push_receiver [--dir DIR] [--secret HEX] [--port N] [--control-port N]` prints one
JSON line {url, control_url, ca_file} and ends when stdin closes. How it can be told to answer: devstack.receiving.
Extra modes: "fcm_mismatch", "vapid_config", "mozilla_auth", "apple_mismatch", "wns_dropped".

GET or POST /subscribe gives {subscription, endpoint, p256dh, auth}; `count` in the query or body gives
{"subscriptions": [...]}; `application_server_key` binds the subscription to that VAPID key. With the same --secret
the same subscriptions live on after a restart, since everything about them is derived from it.
GET /accepted?from=N gives {total, messages: [{endpoint, topic, ttl, urgency, payload}]}, 10,000 a page.
"""

import argparse
import asyncio
import collections
import hashlib
import hmac
import secrets
import tempfile
import time
from pathlib import Path
from typing import Any

from aiohttp import web

from devstack.receiving import Behaviour, Behaviours, control_routes, hang, run_as_process
from devstack.tls import TlsFiles, make_tls_files
from devstack.user_agent import BadVapid, Undecryptable, UserAgent, VapidClaims, VapidReader, b64url_encode

MAX_BODY_BYTES = 4096
_KEPT = 500_000
_PAGE = 10_000
_SERVICE_MODES: dict[str, tuple[int, str, dict[str, str]]] = {
    "fcm_mismatch": (
        403,
        "the VAPID credentials in the authorization header do not correspond to those of the subscription",
        {},
    ),
    "vapid_config": (403, '{"reason": "BadJwtToken"}', {}),
    "mozilla_auth": (401, '{"code": 401, "errno": 109, "error": "Unauthorized"}', {}),
    "apple_mismatch": (400, '{"reason": "VapidPkHashMismatch"}', {}),
    "wns_dropped": (201, "", {"X-WNS-Status": "dropped"}),
}


class PushReceiver:
    """The receiver; `start` it within a running loop. `url` and `control_url` are known after that."""

    def __init__(self, tls: TlsFiles, *, secret: bytes | None = None, seed: int = 0) -> None:
        self.tls = tls
        self.url = ""
        self.control_url = ""
        self.behaviours = Behaviours(_SERVICE_MODES, seed)
        self._secret = secret or secrets.token_bytes(32)
        self._agent = UserAgent(self._secret)
        self._vapid = VapidReader()
        self._next = 0
        self._server_keys: dict[str, str] = {}
        self._counts: collections.Counter[str] = collections.Counter()
        self._answered: collections.Counter[int] = collections.Counter()
        self._seen: set[bytes] = set()
        self._messages: list[dict[str, Any]] = []
        self._runner: web.AppRunner | None = None

    async def start(self, port: int = 0, control_port: int = 0) -> None:
        """Listen on loopback: TLS for pushes, plain HTTP for /control, /stats, /subscribe (TLS has these too)."""
        app = web.Application(client_max_size=64 * 1024)
        app.add_routes(control_routes(self.behaviours, self.stats))
        app.router.add_route("*", "/subscribe", self._subscribe)
        app.router.add_get("/accepted", self._accepted)
        app.router.add_post("/push/{subscription}", self._push)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port, ssl_context=self.tls.server_context(), backlog=1024).start()
        await web.TCPSite(self._runner, "127.0.0.1", control_port).start()
        push_address, control_address = self._runner.addresses
        self.url = f"https://127.0.0.1:{push_address[1]}"
        self.control_url = f"http://127.0.0.1:{control_address[1]}"

    async def stop(self) -> None:
        """Close all connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def subscribe(self, application_server_key: str | None = None) -> dict[str, str]:
        """A new subscription."""
        self._next += 1
        # Random part: with a kept secret a restarted receiver must not hand out the same names again.
        name = f"{self._next:x}-{secrets.token_hex(4)}"
        subscription = f"{name}-{self._tag(name)}"
        if application_server_key is not None:
            self._server_keys[subscription] = application_server_key.rstrip("=")
        return {
            "subscription": subscription,
            "endpoint": f"{self.url}/push/{subscription}",
            "p256dh": self._agent.p256dh,
            "auth": b64url_encode(self._agent.auth_secret(subscription)),
        }

    def stats(self, last: int = 0) -> dict[str, Any]:
        """Counts since the start. `accepted` = answered 201 and kept; `distinct` by subscription and topic/payload."""
        names = ("received", "accepted", "undecryptable", "bad_vapid", "malformed")
        return {
            **{name: self._counts[name] for name in names},
            "distinct": len(self._seen),
            "duplicates": self._counts["accepted"] - self._counts["undecryptable"] - len(self._seen),
            "answered": {str(status): count for status, count in sorted(self._answered.items())},
            "last": self._messages[-last:] if last > 0 else [],
        }

    def _tag(self, name: str) -> str:
        return hmac.digest(self._secret, b"subscription " + name.encode(), "sha256").hex()[:12]

    def _known(self, subscription: str) -> bool:
        name, _, tag = subscription.rpartition("-")
        return hmac.compare_digest(tag.encode(), self._tag(name).encode())

    async def _subscribe(self, request: web.Request) -> web.Response:
        told: dict[str, Any] = dict(request.query)
        if request.method == "POST" and request.can_read_body:
            told |= await request.json()
        key, count = told.get("application_server_key"), told.get("count")
        if count is None:
            return web.json_response(self.subscribe(key))
        return web.json_response({"subscriptions": [self.subscribe(key) for _ in range(int(count))]})

    async def _accepted(self, request: web.Request) -> web.Response:
        first = int(request.query.get("from", "0"))
        page = self._messages[first : first + _PAGE]
        return web.json_response({"total": len(self._messages), "messages": page})

    async def _push(self, request: web.Request) -> web.Response:
        subscription = request.match_info["subscription"]
        body = await request.read()
        self._counts["received"] += 1
        behaviour = self.behaviours.choose(subscription)
        if behaviour.mode == "hang":
            self._answered[0] += 1
            return await hang()
        response = self._answer(request, subscription, body, behaviour)
        self._answered[response.status] += 1
        return response

    def _answer(self, request: web.Request, subscription: str, body: bytes, behaviour: Behaviour) -> web.Response:
        if behaviour.mode in _SERVICE_MODES:
            status, text, headers = _SERVICE_MODES[behaviour.mode]
            return web.Response(status=status, text=text, headers=headers)
        status_told = behaviour.status()
        if status_told is not None and status_told != 201:
            return behaviour.response(status_told, "")
        refusal = self._refusal(request, subscription, body)
        if refusal is not None:
            return refusal
        self._keep(request, subscription, body)
        answer = behaviour.response(201, "")
        answer.headers["TTL"] = request.headers["TTL"]
        answer.headers["Location"] = f"{self.url}/message/{self._counts['accepted']}"
        return answer

    def _refusal(self, request: web.Request, subscription: str, body: bytes) -> web.Response | None:
        """What a push service checks before it says 201."""
        if not self._known(subscription):
            return web.json_response({"errno": 102, "error": "Not Found"}, status=404)
        try:
            claims = self._vapid.read(request.headers.get("Authorization"), self.url, time.time())
            self._check_key(subscription, claims)
        except BadVapid as error:
            self._counts["bad_vapid"] += 1
            return web.Response(status=403, text=str(error))
        if not request.headers.get("TTL", "").isdigit():
            self._counts["malformed"] += 1
            return web.json_response({"errno": 111, "error": "Missing TTL"}, status=400)
        if request.headers.get("Content-Encoding") != "aes128gcm" or len(request.headers.get("Topic", "")) > 32:
            self._counts["malformed"] += 1
            return web.json_response({"errno": 110, "error": "Bad encryption header"}, status=400)
        if len(body) > MAX_BODY_BYTES:
            self._counts["malformed"] += 1
            return web.json_response({"errno": 104, "error": "Payload Too Large"}, status=413)
        return None

    def _check_key(self, subscription: str, claims: VapidClaims) -> None:
        expected = self._server_keys.get(subscription)
        if expected is not None and not hmac.compare_digest(expected.encode(), claims.public_key.encode()):
            raise BadVapid(_SERVICE_MODES["fcm_mismatch"][1])

    def _keep(self, request: web.Request, subscription: str, body: bytes) -> None:
        self._counts["accepted"] += 1
        try:
            plaintext = self._agent.decrypt(body, self._agent.auth_secret(subscription))
        except Undecryptable:
            self._counts["undecryptable"] += 1
            return
        topic = request.headers.get("Topic")
        identity = topic.encode() if topic else plaintext
        self._seen.add(hashlib.blake2b(subscription.encode() + b"\0" + identity, digest_size=16).digest())
        if len(self._messages) >= _KEPT:
            return
        self._messages.append(
            {
                "endpoint": f"{self.url}/push/{subscription}",
                "topic": topic,
                "ttl": int(request.headers["TTL"]),
                "urgency": request.headers.get("Urgency", "normal"),
                "payload": plaintext.decode("utf-8", "replace"),
            }
        )


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m devstack.push_receiver", description=__doc__)
    parser.add_argument("--dir", type=Path, help="where certificates are kept (default: a new temporary directory)")
    parser.add_argument("--secret", type=bytes.fromhex, help="32 octets in hex; the same one keeps subscriptions")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--control-port", type=int, default=0)
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace, directory: Path) -> None:
    receiver = PushReceiver(make_tls_files(directory), secret=arguments.secret)

    async def start() -> dict[str, Any]:
        await receiver.start(arguments.port, arguments.control_port)
        return {"url": receiver.url, "control_url": receiver.control_url, "ca_file": str(receiver.tls.ca_file)}

    await run_as_process(start, receiver.stop)


def main() -> None:
    """Run as a process."""
    arguments = _parse_arguments()
    if arguments.dir is not None:
        asyncio.run(_serve(arguments, arguments.dir))
        return
    with tempfile.TemporaryDirectory(prefix="bongsu-push-") as directory:
        asyncio.run(_serve(arguments, Path(directory)))


if __name__ == "__main__":
    main()
