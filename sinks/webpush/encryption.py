"""Encryption of one message for one browser (RFC 8291, aes128gcm, one record), by pywebpush's encoder."""

import base64
import binascii
import re

from pywebpush import WebPusher, WebPushException

from sinks.ports import PushTarget

HARD_PAYLOAD_LIMIT = 3993
"""Octets of plaintext that fit into one 4096-octet record; the encoder would silently write two."""

DEFAULT_PAYLOAD_LIMIT = 3052
"""What Firefox for Android's bridge still takes (reference sheet A3)."""

_BASE64 = re.compile(r"[A-Za-z0-9_+/-]+={0,2}", re.ASCII)


class BadSubscriptionKeys(Exception):
    """The keys stored with a subscription cannot be used to encrypt; no message to it ever can be."""


class PayloadTooLarge(Exception):
    """The plaintext does not fit into one record."""


def encrypt(target: PushTarget, payload: bytes) -> bytes:
    """The request body for `payload`. Raises BadSubscriptionKeys, PayloadTooLarge; ValueError when it is empty."""
    if not payload:
        raise ValueError("a push message needs a payload")
    if len(payload) > HARD_PAYLOAD_LIMIT:
        raise PayloadTooLarge(f"{len(payload)} octets, at most {HARD_PAYLOAD_LIMIT}")
    _check_lengths(target)
    keys = {"p256dh": target.p256dh, "auth": target.auth}
    try:
        body: bytes = WebPusher({"endpoint": target.endpoint, "keys": keys}).encode(payload)["body"]
    except (WebPushException, ValueError, IndexError, TypeError) as error:
        raise BadSubscriptionKeys(f"p256dh is not a point of the curve ({type(error).__name__})") from error
    return body


def _check_lengths(target: PushTarget) -> None:
    # The encoder accepts an 8-octet auth secret and ignores characters outside base64: the browser could not
    # decrypt, and the message would count as delivered.
    public, secret = _decode(target.p256dh, "p256dh"), _decode(target.auth, "auth")
    if len(public) != 65 or public[0] != 4:
        raise BadSubscriptionKeys(f"p256dh has {len(public)} octets, not 65 beginning with 4")
    if len(secret) != 16:
        raise BadSubscriptionKeys(f"auth has {len(secret)} octets, not 16")


def _decode(text: str, name: str) -> bytes:
    if not _BASE64.fullmatch(text):
        raise BadSubscriptionKeys(f"{name} is not base64url")
    bare = text.rstrip("=").replace("+", "-").replace("/", "_")
    try:
        return base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except (binascii.Error, ValueError) as error:
        raise BadSubscriptionKeys(f"{name} is not base64url") from error
