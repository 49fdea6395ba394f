"""No push leaves for an address that is not public, whatever the endpoint or the resolver says (SSRF)."""

import socket

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver

from devstack.user_agent import UserAgent, b64url_encode
from sinks.outcomes import Refused, RetryAfter
from sinks.ports import PushMessage, PushTarget
from sinks.webpush.sender import WebPushSender
from sinks.webpush.session import AddressRefused, GuardedConnector, PublicResolver, open_push_session, public_socket
from sinks.webpush.settings import WebPushSettings
from sinks.webpush.vapid import VapidHeaders, generate_vapid_pair
from tests.unit.sinks.hostile_endpoints import HOSTILE_ENDPOINTS

BROWSER = UserAgent(b"x")
MESSAGE = PushMessage(b"x", 60)
FCM = "https://fcm.googleapis.com/fcm/send/abc"
PRIVATE = ["127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
           "2002:7f00:1::1", "fd00::1", "fe80::1", "0.0.0.0"]  # fmt: skip
PUBLIC = "142.250.74.74"


class Says(AbstractResolver):
    """A resolver that an attacker owns: every name is at these addresses."""

    def __init__(self, *addresses):
        self.addresses = addresses

    async def resolve(self, host, port=0, family=socket.AF_INET):
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
            for address in self.addresses
        ]

    async def close(self):
        pass


@pytest.fixture
def attempts(monkeypatch):
    """Every address that a socket is made for; making it fails, so nothing ever leaves this machine."""
    seen = []

    def recording(addr_info):
        public_socket(addr_info).close()
        seen.append(addr_info[4][0])
        raise OSError("this test has no network")

    monkeypatch.setattr(GuardedConnector.__init__, "__kwdefaults__", {"socket_factory": recording})
    return seen


def target(endpoint):
    return PushTarget(1, endpoint, BROWSER.p256dh, b64url_encode(BROWSER.auth_secret("x")))


def sender(session, extra_hosts=()):
    settings = WebPushSettings(extra_hosts=extra_hosts)
    return WebPushSender(session, VapidHeaders(generate_vapid_pair(), "mailto:ops@example.com"), settings)


async def test_hostile_endpoints_make_no_connection(attempts):
    async with open_push_session(resolver=Says(PUBLIC)) as session:
        pusher = sender(session)
        outcomes = [await pusher.send(target(endpoint), MESSAGE) for endpoint in HOSTILE_ENDPOINTS]
    assert len(outcomes) >= 30
    assert {(type(outcome), outcome.error_code) for outcome in outcomes} == {(Refused, "endpoint_refused")}
    assert attempts == []


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_known_name_at_a_private_address_makes_no_connection(attempts, address):
    async with open_push_session(resolver=Says(address)) as session:
        outcome = await sender(session).send(target(FCM), MESSAGE)
    assert isinstance(outcome, RetryAfter)
    assert outcome.error_code == "address_refused"
    assert attempts == []


async def test_of_mixed_addresses_only_the_public_one_is_tried(attempts):
    async with open_push_session(resolver=Says("127.0.0.1", PUBLIC, "::1")) as session:
        await sender(session).send(target(FCM), MESSAGE)
    assert set(attempts) == {PUBLIC}


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]", "169.254.169.254"])
async def test_an_address_added_to_the_allow_list_by_mistake_is_still_not_reached(attempts, address):
    async with open_push_session(resolver=Says(PUBLIC)) as session:
        outcome = await sender(session, (address, address.strip("[]"))).send(target(f"https://{address}/x"), MESSAGE)
    assert outcome.error_code in ("address_refused", "endpoint_refused")
    assert attempts == []


@pytest.mark.parametrize(
    "host", ["fcm.googleapis.com", "updates.push.services.mozilla.com", "web.push.apple.com", "db5p.notify.windows.com"]
)
async def test_real_push_services_are_never_blocked(attempts, host):
    async with open_push_session(resolver=Says(PUBLIC)) as session:
        outcome = await sender(session).send(target(f"https://{host}/x"), MESSAGE)
    assert outcome.error_code == "connection_failed", "the test's own OSError"
    assert attempts
    assert set(attempts) == {PUBLIC}


async def test_the_resolver_passes_on_public_addresses_only():
    found = await PublicResolver(Says("127.0.0.1", PUBLIC, "fd00::1")).resolve("fcm.googleapis.com", 443)
    assert [result["host"] for result in found] == [PUBLIC]
    with pytest.raises(AddressRefused):
        await PublicResolver(Says("127.0.0.1")).resolve("fcm.googleapis.com", 443)


async def test_an_unguarded_session_is_not_accepted():
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ValueError, match="open_push_session"):
            sender(session)
    async with open_push_session(allow_private=True) as session:
        with pytest.raises(ValueError, match="open_push_session"):
            sender(session)
