"""What may be asked of a push service for one message: size, TTL, urgency, topic. Pure."""

import re

from sinks.outcomes import Refused
from sinks.ports import PushMessage

MAX_TTL_S = 2_592_000
"""30 days; autopush answers errno 112 above it."""

URGENCIES = frozenset({"very-low", "low", "normal", "high"})
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)


def refusal(message: PushMessage, payload_limit_bytes: int) -> Refused | None:
    """Why the message cannot be sent to anybody, or None."""
    if not message.payload:
        return Refused("invalid_message", None, "empty payload")
    if len(message.payload) > payload_limit_bytes:
        return Refused("payload_too_large", None, f"{len(message.payload)} octets, at most {payload_limit_bytes}")
    if not 0 <= message.ttl_s <= MAX_TTL_S:
        return Refused("invalid_message", None, f"TTL of {message.ttl_s} s")
    if message.urgency not in URGENCIES:
        return Refused("invalid_message", None, "unknown urgency")
    if message.topic is not None and not _TOPIC.fullmatch(message.topic):
        return Refused("invalid_message", None, "topic is not 1 to 32 characters of base64url")
    return None


def request_headers(message: PushMessage, authorization: str) -> dict[str, str]:
    """Request headers of RFC 8030 §5 and RFC 8291 §4. TTL always stands: services refuse to guess it."""
    headers = {
        "Authorization": authorization,
        "TTL": str(message.ttl_s),
        "Urgency": message.urgency,
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "Accept-Encoding": "identity",
    }
    if message.topic is not None:
        headers["Topic"] = message.topic
    return headers
