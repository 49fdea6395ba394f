"""Worlds for the contract suites: a sink, and something behind it that can be told how to answer.

Each world answers the same questions: send there, tell it how to behave, ask what arrived. One world is the
in-memory sink, the other the real client against the receiver over loopback.
"""

import base64
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest

from devstack.posthog_receiver import PostHogReceiver
from devstack.push_receiver import PushReceiver
from devstack.tls import TlsFiles, make_tls_files
from devstack.user_agent import UserAgent
from sinks.memory import MemoryEventSink, MemoryPushSender
from sinks.outcomes import Gone, Outcome, Refused, RetryAfter
from sinks.ports import EventSink, PushSender, PushTarget
from sinks.posthog.settings import PostHogSettings
from sinks.posthog.sink import PostHogSink
from sinks.webpush.sender import WebPushSender
from sinks.webpush.session import open_push_session
from sinks.webpush.settings import WebPushSettings
from sinks.webpush.vapid import VapidHeaders, generate_vapid_pair

SUBJECT = "mailto:ops@example.com"
LOOPBACK = ("127.0.0.1",)


class PushWorld(Protocol):
    """A push sender and the browsers behind it."""

    @property
    def sender(self) -> PushSender: ...
    def subscribe(self) -> PushTarget: ...
    def tell(self, mode: str, **options: Any) -> None: ...
    def delivered(self) -> list[bytes]: ...


class MemoryPushWorld:
    """The in-memory sender."""

    def __init__(self) -> None:
        self.sender = MemoryPushSender(extra_hosts=LOOPBACK, allow_private=True)
        self._browser = UserAgent(b"memory")
        self._count = 0

    def subscribe(self) -> PushTarget:
        self._count += 1
        auth = base64.urlsafe_b64encode(self._browser.auth_secret(str(self._count))).rstrip(b"=").decode()
        return PushTarget(self._count, f"https://127.0.0.1:9/push/{self._count}", self._browser.p256dh, auth)

    def tell(self, mode: str, **options: Any) -> None:
        seconds = options.get("retry_after")
        outcomes: dict[str, Outcome] = {
            "404": Gone(404),
            "410": Gone(410),
            "413": Refused("payload_too_large", 413),
            "429": RetryAfter(seconds, 429, "throttled"),
            "500": RetryAfter(seconds, 500, "http_500"),
            "hang": RetryAfter(None, None, "timeout"),
        }
        self.sender.answer(outcomes[mode])

    def delivered(self) -> list[bytes]:
        return [message.payload for _, message in self.sender.delivered]


class RealPushWorld:
    """The real sender, over TLS, against a receiver that decrypts."""

    def __init__(self, receiver: PushReceiver, session: aiohttp.ClientSession) -> None:
        settings = WebPushSettings(timeout_s=1.5, extra_hosts=LOOPBACK, allow_private=True)
        self.sender = WebPushSender(session, VapidHeaders(generate_vapid_pair(), SUBJECT), settings)
        self.receiver = receiver
        self._count = 0

    def subscribe(self) -> PushTarget:
        self._count += 1
        made = self.receiver.subscribe()
        return PushTarget(self._count, made["endpoint"], made["p256dh"], made["auth"])

    def tell(self, mode: str, **options: Any) -> None:
        self.receiver.behaviours.tell({"mode": mode, **options})

    def delivered(self) -> list[bytes]:
        return [message["payload"].encode() for message in self.receiver.stats(10_000)["last"]]


class EventWorld(Protocol):
    """An event sink and the project behind it."""

    @property
    def sink(self) -> EventSink: ...
    def tell(self, mode: str, **options: Any) -> None: ...
    def delivered(self) -> list[str]: ...


class MemoryEventWorld:
    """The in-memory event sink."""

    def __init__(self) -> None:
        self.sink = MemoryEventSink()

    def tell(self, mode: str, **options: Any) -> None:
        seconds = options.get("retry_after")
        outcomes: dict[str, Outcome] = {
            "429": RetryAfter(seconds, 429, "throttled"),
            "503": RetryAfter(seconds, 503, "http_503"),
            "hang": RetryAfter(None, None, "timeout"),
            "quota_limited": RetryAfter(None, 200, "quota_limited"),
        }
        if mode == "413_over":
            self.sink.largest_batch = options["limit"]
        else:
            self.sink.answer(outcomes[mode])

    def delivered(self) -> list[str]:
        return sorted(str(event.uuid) for event in self.sink.delivered)


class RealEventWorld:
    """The PostHog client against the receiver."""

    def __init__(self, receiver: PostHogReceiver, session: aiohttp.ClientSession) -> None:
        self.sink = PostHogSink(session, PostHogSettings(receiver.url, "phc_test", timeout_s=1.5))
        self.receiver = receiver

    def tell(self, mode: str, **options: Any) -> None:
        self.receiver.behaviours.tell({"mode": mode, **options})

    def delivered(self) -> list[str]:
        return sorted(event["uuid"] for event in self.receiver.stats(10_000)["last"])


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return make_tls_files(Path(tmp_path_factory.mktemp("tls")))


@pytest.fixture
async def push_receiver(tls_files):
    receiver = PushReceiver(tls_files)
    await receiver.start()
    yield receiver
    await receiver.stop()


@pytest.fixture
async def push_session(tls_files):
    async with open_push_session(ca_file=str(tls_files.ca_file), allow_private=True) as session:
        yield session


@pytest.fixture
async def posthog_receiver():
    receiver = PostHogReceiver(api_key="phc_test")
    await receiver.start()
    yield receiver
    await receiver.stop()


@pytest.fixture
async def plain_session():
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture(params=["memory", "real"])
async def push_world(request, push_receiver, push_session) -> PushWorld:
    if request.param == "memory":
        return MemoryPushWorld()
    return RealPushWorld(push_receiver, push_session)


@pytest.fixture(params=["memory", "real"])
async def event_world(request, posthog_receiver, plain_session) -> EventWorld:
    if request.param == "memory":
        return MemoryEventWorld()
    return RealEventWorld(posthog_receiver, plain_session)
