"""The push sender: judge the endpoint, encrypt, identify, post once, and say what came of it.

Outcomes carry what there is to say, without endpoint URLs; only a tripped auth switch is logged here. One sender
and one session serve all push services; each origin has its own circuit, each (origin, key) its own auth switch.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
import structlog

from sinks.breaker import Admitted, Rejected
from sinks.circuit import Circuit
from sinks.outcomes import Delivered, Outcome, Refused, RetryAfter, Unauthorised
from sinks.ports import PushMessage, PushTarget
from sinks.webpush.answers import VAPID_CONFIG, Answer, classify
from sinks.webpush.auth_switch import AuthKey, AuthSwitch, Verdict
from sinks.webpush.encryption import BadSubscriptionKeys, encrypt
from sinks.webpush.endpoints import BadEndpoint, Endpoint, check_endpoint
from sinks.webpush.message import refusal, request_headers
from sinks.webpush.session import AddressRefused, reaches_private_addresses
from sinks.webpush.settings import WebPushSettings
from sinks.webpush.vapid import VapidHeaders

_ORIGINS_KEPT = 1024
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Request:
    """A message ready to be posted."""

    subscription_id: int
    endpoint: Endpoint
    key: AuthKey
    message: PushMessage
    body: bytes


@dataclass(frozen=True, slots=True)
class _Origin:
    """What is kept per origin."""

    circuit: Circuit
    unproven: asyncio.Semaphore


class WebPushSender:
    """`PushSender` for browsers.

    `session` comes from `open_push_session`; with any other one, unless `settings.allow_private`, the
    constructor raises ValueError, since addresses would go unchecked.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        vapid: VapidHeaders,
        settings: WebPushSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        if not settings.allow_private and reaches_private_addresses(session):
            raise ValueError("the push session must come from open_push_session(), which checks every address")
        self._session = session
        self._vapid = vapid
        self._settings = settings
        self._clock = clock
        self._wall_clock = wall_clock
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout_s)
        self._switch = AuthSwitch(settings.auth_switch)
        self._origins: OrderedDict[str, _Origin] = OrderedDict()

    async def send(self, subscription: PushTarget, message: PushMessage) -> Outcome:
        """Deliver one message. Waits for nothing but the answer, at most `settings.timeout_s`."""
        request = self._prepare(subscription, message)
        if not isinstance(request, _Request):
            return request
        origin = self._origin(request.endpoint)
        if self._switch.proven(request.key):
            return await self._send_admitted(request, origin)
        # A key that nobody has accepted yet may be wrong: few requests find that out as well as many.
        async with origin.unproven:
            return await self._send_admitted(request, origin)

    def circuits(self) -> tuple[Circuit, ...]:
        """The circuits of all origins sent to so far: to look at, to kill or to close by hand."""
        return tuple(origin.circuit for origin in self._origins.values())

    def _prepare(self, subscription: PushTarget, message: PushMessage) -> _Request | Refused:
        endpoint = check_endpoint(
            subscription.endpoint, extra_hosts=self._settings.extra_hosts, allow_private=self._settings.allow_private
        )
        if isinstance(endpoint, BadEndpoint):
            return Refused("endpoint_refused", None, endpoint.reason)
        key_id = self._vapid.resolve(subscription.vapid_key_id)
        if key_id is None:
            return Refused("unknown_vapid_key", None, f"no key {str(subscription.vapid_key_id)[:32]}")
        refused = refusal(message, self._settings.payload_limit_bytes)
        if refused is not None:
            return refused
        try:
            body = encrypt(subscription, message.payload)
        except BadSubscriptionKeys as error:
            return Refused("bad_subscription_keys", None, str(error))
        return _Request(subscription.subscription_id, endpoint, (endpoint.origin, key_id), message, body)

    async def _send_admitted(self, request: _Request, origin: _Origin) -> Outcome:
        admitted = origin.circuit.admit()
        if isinstance(admitted, Rejected):
            return RetryAfter(admitted.retry_after_s, None, "circuit_open", request.endpoint.host)
        paused = self._switch.admit(request.key, self._clock())
        if paused is not None:
            origin.circuit.abandon(admitted)
            return RetryAfter(paused.retry_after_s, None, "auth_paused", request.endpoint.host)
        return await self._send_and_record(request, origin, admitted)

    async def _send_and_record(self, request: _Request, origin: _Origin, admitted: Admitted) -> Outcome:
        recorded = False
        try:
            outcome = await self._post(request)
            origin.circuit.record(admitted, outcome)
            recorded = True
            return self._judge(request, outcome)
        finally:
            if not recorded:
                origin.circuit.abandon(admitted)
                self._switch.abandon(request.key)

    async def _post(self, request: _Request) -> Outcome:
        now_s = self._wall_clock()
        headers = request_headers(request.message, self._vapid.header(*request.key, now_s))
        try:
            async with self._session.post(
                request.endpoint.url, data=request.body, headers=headers, allow_redirects=False, timeout=self._timeout
            ) as response:
                body = await self._read_answer(response)
                fields = {name.lower(): value for name, value in response.headers.items()}
                answer = Answer(response.status, fields, body)
        except TimeoutError:
            return RetryAfter(None, None, "timeout", request.endpoint.host)
        except aiohttp.InvalidURL:
            return Refused("endpoint_refused", None, "not a URL that can be posted to")
        except UnicodeError:
            return Refused("endpoint_refused", None, "not a host name that can be resolved")
        except aiohttp.ClientConnectorError as error:
            code = "address_refused" if isinstance(error.os_error, AddressRefused) else "connection_failed"
            return RetryAfter(None, None, code, request.endpoint.host)
        except (aiohttp.ClientError, OSError) as error:
            return RetryAfter(None, None, "connection_failed", f"{request.endpoint.host}: {type(error).__name__}")
        return classify(answer, request.endpoint.service, now_s)

    async def _read_answer(self, response: aiohttp.ClientResponse) -> bytes:
        """The answer's body up to the limit. Once the status is known nothing in the body may change it."""
        limit = self._settings.answer_limit_bytes
        body = b""
        try:
            while len(body) < limit:
                part = await response.content.read(limit - len(body))
                if not part:
                    return body
                body += part
        except (aiohttp.ClientError, TimeoutError):
            response.close()
        if not response.content.at_eof():
            response.close()
        return body

    def _judge(self, request: _Request, outcome: Outcome) -> Outcome:
        match outcome:
            case Delivered():
                self._switch.record_accepted(request.key, request.subscription_id, self._clock())
            case Unauthorised():
                return self._judge_auth(request, outcome)
            case _:
                self._switch.abandon(request.key)
        return outcome

    def _judge_auth(self, request: _Request, outcome: Unauthorised) -> Outcome:
        ours = outcome.error_code == VAPID_CONFIG
        if ours:
            self._vapid.forget(*request.key)
        was_paused = self._switch.paused(request.key)
        verdict = self._switch.record_failure(request.key, request.subscription_id, self._clock(), ours=ours)
        match verdict:
            case Verdict.SUBSCRIPTION:
                return outcome
            case Verdict.UNDECIDED:
                return RetryAfter(
                    self._settings.undecided_delay_s, outcome.http_status, "auth_undecided", outcome.detail
                )
            case Verdict.TRIPPED:
                seconds = self._switch.paused_for_s(request.key, self._clock())
                if not was_paused:
                    log.error(
                        "web_push_auth_paused", origin=request.key[0], vapid_key_id=request.key[1], pause_s=seconds
                    )
                return RetryAfter(seconds, outcome.http_status, "auth_tripped", outcome.detail)

    def _origin(self, endpoint: Endpoint) -> _Origin:
        origin = self._origins.get(endpoint.origin)
        if origin is None:
            origin = _Origin(
                Circuit(f"WEB_PUSH:{endpoint.host}", self._settings.breaker, clock=self._clock),
                asyncio.Semaphore(self._settings.auth_switch.unproven_in_flight),
            )
            self._origins[endpoint.origin] = origin
        self._origins.move_to_end(endpoint.origin)
        # Names under *.push.apple.com and *.notify.windows.com are theirs to make, but an attacker's to list.
        while len(self._origins) > _ORIGINS_KEPT:
            self._origins.popitem(last=False)
        return origin
