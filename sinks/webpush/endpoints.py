"""Which endpoints a push may be sent to, and how one is named in logs. Pure.

An endpoint is typed in by a browser's user, so it is hostile until shown otherwise: https, port 443, a known
push service. The address that the name resolves to is checked where the connection is made.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from yarl import URL

MAX_ENDPOINT_LENGTH = 2048

_PLAIN = re.compile(r"https?://[\x21-\x7e]+", re.ASCII | re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", re.ASCII)
_URL_IN_TEXT = re.compile(r"https?://\S+")


class Service(StrEnum):
    """Push services that answer in their own way."""

    FCM = "fcm"
    MOZILLA = "mozilla"
    APPLE = "apple"
    WNS = "wns"
    OTHER = "other"


KNOWN_HOSTS: dict[str, Service] = {
    "fcm.googleapis.com": Service.FCM,
    "android.googleapis.com": Service.FCM,
    "updates.push.services.mozilla.com": Service.MOZILLA,
    "*.push.apple.com": Service.APPLE,
    "*.notify.windows.com": Service.WNS,
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint that may be posted to. `origin` is the VAPID audience; the URL itself is not for logs."""

    url: URL = field(repr=False)
    origin: str
    host: str
    service: Service


@dataclass(frozen=True, slots=True)
class BadEndpoint:
    """An endpoint that is not posted to, and why."""

    reason: str


def endpoint_name(endpoint: str) -> str:
    """Host (if one can be read) and a short hash: enough to compare two log lines, useless for sending."""
    digest = hashlib.sha256(endpoint.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    try:
        host = URL(endpoint, encoded=True).host or "?"
    except ValueError:
        host = "?"
    return f"{host[:80]}#{digest}"


def without_urls(text: str) -> str:
    """The text with each URL in it shortened to its name, since answers like to quote the endpoint."""
    return _URL_IN_TEXT.sub(lambda match: endpoint_name(match.group()), text)


def host_matches(host: str, pattern: str) -> bool:
    """Exact host, or any name below one written `*.suffix` (not the suffix itself)."""
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return host == pattern


def service_of(host: str) -> Service:
    """The service that runs on this host; OTHER for hosts added by configuration."""
    for pattern, service in KNOWN_HOSTS.items():
        if host_matches(host, pattern):
            return service
    return Service.OTHER


def check_endpoint(
    endpoint: str, *, extra_hosts: Sequence[str] = (), allow_private: bool = False
) -> Endpoint | BadEndpoint:
    """Read an endpoint and judge it. `allow_private` lifts the port rule and permits IP addresses as hosts.

    The allow-list (`KNOWN_HOSTS` and `extra_hosts`, `*.suffix` or exact, lower case) holds either way.
    """
    if len(endpoint) > MAX_ENDPOINT_LENGTH:
        return BadEndpoint("longer than 2048 characters")
    # Control characters, spaces, non-ASCII and backslashes are where two URL readers disagree.
    if not _PLAIN.fullmatch(endpoint) or "\\" in endpoint:
        return BadEndpoint("not a plain ASCII URL")
    try:
        url = URL(endpoint, encoded=True)
        host, port = (url.raw_host or "").lower(), url.explicit_port
    except ValueError:
        return BadEndpoint("not a URL")
    reason = _refusal(url, host, port, extra_hosts, allow_private)
    if reason is not None:
        return BadEndpoint(reason)
    return Endpoint(url, _origin(url, host), host, service_of(host))


def _refusal(url: URL, host: str, port: int | None, extra_hosts: Sequence[str], allow_private: bool) -> str | None:
    if url.scheme != "https":
        return "not https"
    if url.raw_user is not None or url.raw_password is not None or "@" in url.raw_authority:
        return "user information in it"
    if not host:
        return "no host"
    if port not in (None, 443) and not allow_private:
        return "a port other than 443"
    if "#" in str(url):
        return "a fragment in it"
    if not _resolvable(host) and not (allow_private and ":" in host):
        return "an unusual host name"
    if not any(host_matches(host, pattern) for pattern in (*KNOWN_HOSTS, *extra_hosts)):
        return "not a known push service"
    return None


def _resolvable(host: str) -> bool:
    """RFC 1035 §2.3.4: resolvers raise for labels over 63 characters instead of not finding them."""
    return bool(_HOST.fullmatch(host)) and len(host) <= 253 and all(len(label) <= 63 for label in host.split("."))


def _origin(url: URL, host: str) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"https://{shown}" if url.explicit_port in (None, 443) else f"https://{shown}:{url.explicit_port}"
