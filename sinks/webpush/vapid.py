"""Who we say we are (RFC 8292): reading the key pair, checking the settings, signing one token per origin.

A token may be used for every message to its origin until it expires, so it is signed once per (origin, key) and
renewed well before that. Signing is py_vapid's; it is handed fresh claims each time and a time of ours.
"""

import base64
import binascii
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid02

TOKEN_LIFE_S = 12 * 3600
"""RFC 8292 §2 allows 24 h; half of it leaves room for a clock that is hours wrong."""

RENEW_BEFORE_S = 3600
_ORIGINS_KEPT = 1024

_BASE64URL = re.compile(r"[A-Za-z0-9_-]+={0,2}", re.ASCII)
_MAILTO = re.compile(r"mailto:[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@([A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+)", re.ASCII)


class BadVapidKey(ValueError):
    """A VAPID key cannot be read; the text says what is wrong with it and never shows it."""


@dataclass(frozen=True, slots=True)
class VapidPair:
    """A key pair as it stands in settings: base64url, public 65 octets uncompressed, private 32 octets."""

    public: str
    private: str = field(repr=False)


def generate_vapid_pair() -> VapidPair:
    """A fresh P-256 key pair in the form that browsers and the settings take."""
    key = ec.generate_private_key(ec.SECP256R1())
    scalar = key.private_numbers().private_value.to_bytes(32, "big")
    return VapidPair(_encode(_point(key.public_key())), _encode(scalar))


def vapid_key_id(public: str) -> str:
    """Short stable name of a public key, stored with each subscription (push_subscription.vapid_key_id).

    Raises BadVapidKey. Padding and the alphabet used do not change the name.
    """
    return hashlib.sha256(_public_point(public)).hexdigest()[:16]


def check_vapid(public: str, private: str, subject: str) -> list[str]:
    """What is wrong with the VAPID settings, as sentences; empty when push services will accept them."""
    faults: list[str] = []
    try:
        point: bytes | None = _public_point(public)
    except BadVapidKey as error:
        point = None
        faults.append(f"VAPID_PUBLIC_KEY {error}.")
    try:
        derived: bytes | None = _point(_private_key(private).public_key())
    except BadVapidKey as error:
        derived = None
        faults.append(f"VAPID_PRIVATE_KEY {error}.")
    if point is not None and derived is not None and point != derived:
        faults.append("VAPID_PUBLIC_KEY and VAPID_PRIVATE_KEY are not a pair: every push would be answered 401 or 403.")
    fault = _subject_fault(subject)
    return [*faults, fault] if fault else faults


class VapidKey:
    """One signing key. Raises BadVapidKey when the pair cannot be read or does not match."""

    def __init__(self, pair: VapidPair) -> None:
        key = _private_key(pair.private)
        if _point(key.public_key()) != _public_point(pair.public):
            raise BadVapidKey("does not belong to the private key")
        self.key_id = vapid_key_id(pair.public)
        # py_vapid's own subject check refuses https URLs with a path; `check_vapid` has judged the subject.
        self._signer = Vapid02(key, conf={"no-strict": True})

    def sign(self, origin: str, subject: str, expires_s: int) -> str:
        """The Authorization header for one origin until the Unix time `expires_s`."""
        headers: dict[str, str] = self._signer.sign({"aud": origin, "exp": expires_s, "sub": subject})
        return headers["Authorization"]


class VapidHeaders:
    """Authorization headers by (origin, key id), signed at first use and renewed before they expire.

    `current` signs for subscriptions without a key id and for its own; `previous` keys keep older
    subscriptions reachable while a key is being replaced. Raises ValueError for a bad subject.
    """

    def __init__(self, current: VapidPair, subject: str, previous: Iterable[VapidPair] = ()) -> None:
        fault = _subject_fault(subject)
        if fault:
            raise ValueError(fault)
        self._subject = subject
        self._current = VapidKey(current)
        self._keys = {key.key_id: key for key in (*map(VapidKey, previous), self._current)}
        self._signed: OrderedDict[tuple[str, str], tuple[str, int]] = OrderedDict()

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Ids of all keys that can sign, previous ones first."""
        return tuple(self._keys)

    def resolve(self, key_id: str | None) -> str | None:
        """The id of the key to sign with for a subscription's `vapid_key_id`; None if that key is not ours."""
        if key_id is None:
            return self._current.key_id
        return key_id if key_id in self._keys else None

    def header(self, origin: str, key_id: str, now_s: float) -> str:
        """The Authorization header to send now (Unix time). Raises KeyError for an unknown key id."""
        entry = self._signed.get((origin, key_id))
        if entry is not None and now_s < entry[1] - RENEW_BEFORE_S and entry[1] - now_s <= TOKEN_LIFE_S + 60:
            return entry[0]
        expires_s = int(now_s) + TOKEN_LIFE_S
        header = self._keys[key_id].sign(origin, self._subject, expires_s)
        self._signed[origin, key_id] = (header, expires_s)
        self._signed.move_to_end((origin, key_id))
        if len(self._signed) > _ORIGINS_KEPT:
            self._signed.popitem(last=False)
        return header

    def forget(self, origin: str, key_id: str) -> None:
        """Sign anew next time: used when a service rejected the token."""
        self._signed.pop((origin, key_id), None)


def _subject_fault(subject: str) -> str | None:
    shown = "VAPID_SUBJECT must be mailto:name@example.com or an https: URL"
    if subject.startswith("mailto:"):
        if any(character in subject for character in " <>\t\r\n"):
            return f"{shown}, without spaces or angle brackets (Apple answers 403 BadJwtToken)."
        matched = _MAILTO.fullmatch(subject)
        if matched is None or matched.group(1).lower().endswith(".localhost"):
            return f"{shown}; the address needs a name, an @ and a domain with a dot in it."
        return None
    if subject.startswith("https://"):
        host = _https_host(subject)
        if "." not in host or host.endswith(".localhost") or host.startswith("127."):
            return f"{shown} on a public host."
        return None
    return f"{shown}."


def _https_host(subject: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]+", subject):
        return ""
    try:
        return (urlsplit(subject).hostname or "").lower()
    except ValueError:
        return ""


def _public_point(text: str) -> bytes:
    raw = _decode(text)
    if len(raw) != 65 or raw[0] != 4:
        raise BadVapidKey(f"must be 65 octets beginning with 4 in base64url, not {len(raw)} octets")
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
    except ValueError as error:
        raise BadVapidKey("is not a point of the curve P-256") from error
    return raw


def _private_key(text: str) -> ec.EllipticCurvePrivateKey:
    """Read base64url of 32 octets, base64 of DER, or PEM."""
    if text.lstrip().startswith("-----BEGIN"):
        return _load(lambda: serialization.load_pem_private_key(text.strip().encode(), None))
    raw = _decode(text)
    if len(raw) == 32:
        return _load(lambda: ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256R1()))
    return _load(lambda: serialization.load_der_private_key(raw, None))


def _load(read: Callable[[], object]) -> ec.EllipticCurvePrivateKey:
    try:
        key = read()
    except (ValueError, TypeError) as error:
        raise BadVapidKey("is neither 32 octets in base64url nor a private key in DER or PEM") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise BadVapidKey("is not a key on the curve P-256")
    return key


def _decode(text: str) -> bytes:
    stripped = text.strip().replace("+", "-").replace("/", "_")
    if not stripped:
        raise BadVapidKey("is empty")
    # The library drops characters that are not base64, which hides a mistyped key.
    if not _BASE64URL.fullmatch(stripped):
        raise BadVapidKey("has characters that are not base64url")
    try:
        return base64.urlsafe_b64decode(stripped.rstrip("=") + "=" * (-len(stripped.rstrip("=")) % 4))
    except (binascii.Error, ValueError) as error:
        raise BadVapidKey("is not base64url") from error


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
