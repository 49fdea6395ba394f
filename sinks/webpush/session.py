"""The one HTTP session of the push sink: no cookies, no proxy from the environment, public addresses only."""

import asyncio
import socket
import ssl
from collections.abc import Callable

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from sinks.webpush.addresses import is_public_address

AddrInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]


class AddressRefused(OSError):
    """The name of a push service resolved to an address that is not public."""


class PublicResolver(AbstractResolver):
    """Passes on only public addresses of what another resolver found; aiohttp then connects to exactly those."""

    def __init__(self, inner: AbstractResolver) -> None:
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve, and drop what is not public. Raises AddressRefused when nothing is left."""
        found = await self._inner.resolve(host, port, family)
        public = [result for result in found if is_public_address(result["host"])]
        if not public:
            raise AddressRefused(f"{host} has no public address")
        return public

    async def close(self) -> None:
        """Close the resolver behind it."""
        await self._inner.close()


def public_socket(addr_info: AddrInfo) -> socket.socket:
    """Make the socket for a connection, or refuse: the last check before a packet leaves.

    It sees the very address that is connected to, also for IP literals, which never pass a resolver.
    """
    family, kind, protocol, _, address = addr_info
    if not is_public_address(str(address[0])):
        raise AddressRefused("not a public address")
    made = socket.socket(family=family, type=kind, proto=protocol)
    made.setblocking(False)
    return made


class GuardedConnector(aiohttp.TCPConnector):
    """A connector that cannot reach a private address, whatever URL it is given."""

    def __init__(
        self,
        *,
        limit: int,
        tls: ssl.SSLContext,
        resolver: AbstractResolver,
        socket_factory: Callable[[AddrInfo], socket.socket] = public_socket,
    ) -> None:
        super().__init__(
            limit=limit, ssl=tls, resolver=PublicResolver(resolver), socket_factory=socket_factory, ttl_dns_cache=10
        )


def open_push_session(
    *,
    connections: int = 128,
    ca_file: str | None = None,
    allow_private: bool = False,
    resolver: AbstractResolver | None = None,
) -> aiohttp.ClientSession:
    """A session fit for `WebPushSender`. Call within a running loop; the caller closes it.

    `ca_file` names further trusted roots (test receivers); `allow_private` takes away the address checks.
    """
    tls = ssl.create_default_context()
    if ca_file is not None:
        tls.load_verify_locations(ca_file)
    connector: aiohttp.TCPConnector
    if allow_private:
        connector = aiohttp.TCPConnector(limit=connections, ssl=tls, resolver=resolver)
    else:
        connector = GuardedConnector(limit=connections, tls=tls, resolver=resolver or aiohttp.DefaultResolver())
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        loop=asyncio.get_running_loop(),
    )


def reaches_private_addresses(session: aiohttp.ClientSession) -> bool:
    """True unless the session's connector is guarded and no proxy of the environment can take its place."""
    return not isinstance(session.connector, GuardedConnector) or session.trust_env


__all__ = [
    "AddressRefused",
    "GuardedConnector",
    "PublicResolver",
    "open_push_session",
    "public_socket",
    "reaches_private_addresses",
]
