"""/metrics and /livez of one process, on loopback unless told otherwise.

A thread with the standard library's server, so that a stalled event loop can still be seen: `/livez` answers 503
once the loop has not ticked for too long, which is how silently stalled workers are found (operations.md §3).
`/metrics` asks for `Authorization: Bearer <METRICS_TOKEN>` (runbook 003 L11), compared in constant time.
"""

import hmac
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ops.errors import Conflict
from ops.settings_model import Settings

_STALLED_AFTER_S = 30.0


class Heartbeat:
    """The last tick of whatever must not stall: `beat` is called by it, `age_s` by the server's threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_s: float | None = None

    def beat(self) -> None:
        """Note that the owner is alive."""
        self._last_s = self._clock()

    def age_s(self) -> float:
        """Seconds since the last beat; 0 before the first, since a start may take its time."""
        return 0.0 if self._last_s is None else self._clock() - self._last_s


PROCESS_HEARTBEAT = Heartbeat()
"""The heartbeat of this process's main loop; `ops.wiring` beats it, `/livez` reads it."""


def authorised(header: str | None, token: str) -> bool:
    """True for exactly `Bearer <token>`; takes the same time for every wrong token of one length."""
    return hmac.compare_digest((header or "").encode(), f"Bearer {token}".encode())


def liveness(age_s: float) -> tuple[int, str]:
    """Status and body of /livez."""
    if age_s > _STALLED_AFTER_S:
        return 503, f"stalled: no tick for {age_s:.0f} s\n"
    return 200, "ok\n"


class MetricsServer:
    """Serves until `close`. `port` is the real port, also when 0 was asked for (tests).

    Raises:
        Conflict: the port is taken; the sentence names the settings.
    """

    def __init__(self, host: str, port: int, token: str, heartbeat: Heartbeat = PROCESS_HEARTBEAT) -> None:
        handler = _handler(token, heartbeat)
        try:
            self._server = ThreadingHTTPServer((host, port), handler)
        except OSError as error:
            raise Conflict(
                f"METRICS_HOST and METRICS_PORT are {host}:{port}, where nothing can listen: {error.strerror}. "
                "Choose another METRICS_PORT, or 0 to switch metrics off."
            ) from error
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def serving(settings: Settings) -> Iterator[None]:
    """Serve while the block runs, if METRICS_PORT is set. Raises Conflict when the port is taken."""
    if not settings.metrics_port or settings.metrics_token is None:
        yield
        return
    _show_switches(settings)
    token = settings.metrics_token.get_secret_value()
    server = MetricsServer(settings.metrics_host, settings.metrics_port, token)
    try:
        yield
    finally:
        server.close()


def _show_switches(settings: Settings) -> None:
    """The runbooks' switches as gauges, so that a dashboard shows what is off on purpose (000 L28, 003 L12)."""
    from prometheus_client import Gauge

    for name in ("payments_enabled", "web_push_enabled", "posthog_enabled"):
        Gauge(f"bongsu_{name}", f"The setting {name.upper()}: 1 or 0.").set(int(getattr(settings, name)))


def _handler(token: str, heartbeat: Heartbeat) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "bongsu"
        sys_version = ""

        def do_GET(self) -> None:
            if self.path == "/livez":
                status, body = liveness(heartbeat.age_s())
                self._answer(status, body.encode(), "text/plain; charset=utf-8")
            elif self.path != "/metrics":
                self._answer(404, b"not found\n", "text/plain; charset=utf-8")
            elif not authorised(self.headers.get("Authorization"), token):
                self._answer(401, b"Authorization: Bearer METRICS_TOKEN is needed\n", "text/plain; charset=utf-8")
            else:
                self._answer(200, *_exposition())

        def _answer(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            if status == 401:
                self.send_header("WWW-Authenticate", "Bearer")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class names it so
            """A scrape every few seconds is no news."""

    return Handler


def _exposition() -> tuple[bytes, str]:
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

    return generate_latest(), CONTENT_TYPE_LATEST
