"""The browser's side of web push: keys of subscriptions, decryption (RFC 8291), and reading a VAPID token (RFC 8292).

Written from the RFCs and not with the libraries that the sender uses, so that a round trip shows something.
"""

import base64
import hashlib
import hmac
import json
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_MAX_TOKEN_LIFE_S = 24 * 3600
_CLOCK_SKEW_S = 60
_TOKENS_KEPT = 10_000


class Undecryptable(Exception):
    """The browser would drop this message without a word."""


class BadVapid(Exception):
    """The push service would not accept this Authorization header."""


def b64url_encode(raw: bytes) -> str:
    """Unpadded base64url."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def b64url_decode(text: str) -> bytes:
    """The reverse; raises ValueError."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class UserAgent:
    """One browser profile: a key pair, and an auth secret for each subscription, all derived from `secret`."""

    def __init__(self, secret: bytes) -> None:
        seed = int.from_bytes(hmac.digest(secret, b"user agent key", "sha512"), "big")
        self._secret = secret
        self._key = ec.derive_private_key(seed % (_P256_ORDER - 1) + 1, ec.SECP256R1())
        self.public_point = self._key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )

    @property
    def p256dh(self) -> str:
        """The public key as a subscription carries it."""
        return b64url_encode(self.public_point)

    def auth_secret(self, subscription: str) -> bytes:
        """The 16-octet auth secret of one subscription."""
        return hmac.digest(self._secret, b"auth " + subscription.encode(), "sha256")[:16]

    def decrypt(self, body: bytes, auth_secret: bytes) -> bytes:
        """The plaintext of a request body; raises Undecryptable."""
        return decrypt(body, self._key, self.public_point, auth_secret)


def decrypt(body: bytes, key: ec.EllipticCurvePrivateKey, public_point: bytes, auth_secret: bytes) -> bytes:
    """RFC 8291 §3.4 and RFC 8188 §2: one record, keyid = the sender's public key. Raises Undecryptable."""
    if len(body) < 21 + 65:
        raise Undecryptable("shorter than its header")
    salt, (record_size, id_length) = body[:16], struct.unpack("!IB", body[16:21])
    if id_length != 65:
        raise Undecryptable("keyid is not a public key")
    sender_point, record = body[21:86], body[86:]
    if len(record) > record_size or record_size < 18:
        raise Undecryptable("more than one record")
    try:
        sender_key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender_point)
    except ValueError as error:
        raise Undecryptable("keyid is not a point of the curve") from error
    shared = key.exchange(ec.ECDH(), sender_key)
    key_info = b"WebPush: info\0" + public_point + sender_point
    ikm = _expand(hmac.digest(auth_secret, shared, "sha256"), key_info, 32)
    prk = hmac.digest(salt, ikm, "sha256")
    content_key = _expand(prk, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _expand(prk, b"Content-Encoding: nonce\0", 12)
    try:
        padded = AESGCM(content_key).decrypt(nonce, record, None)
    except InvalidTag as error:
        raise Undecryptable("wrong key or damaged") from error
    text = padded.rstrip(b"\0")
    if not text.endswith(b"\x02"):
        raise Undecryptable("not the last record")
    return text[:-1]


def _expand(prk: bytes, info: bytes, length: int) -> bytes:
    return hmac.digest(prk, info + b"\x01", "sha256")[:length]


@dataclass(frozen=True, slots=True)
class VapidClaims:
    """What a token said, and the public key (base64url) that signed it."""

    audience: str
    expires_s: float
    subject: str
    public_key: str


class VapidReader:
    """Verifies Authorization headers; a token already verified is not verified again before it expires."""

    def __init__(self) -> None:
        self._verified: dict[bytes, VapidClaims] = {}

    def read(self, authorization: str | None, audience: str, now_s: float) -> VapidClaims:
        """Check scheme, signature, aud, exp and sub. Raises BadVapid."""
        if not authorization:
            raise BadVapid("no Authorization header")
        digest = hashlib.sha256(authorization.encode()).digest()
        claims = self._verified.get(digest)
        if claims is None:
            claims = _verify(authorization)
            if len(self._verified) >= _TOKENS_KEPT:
                self._verified.clear()
            self._verified[digest] = claims
        _check(claims, audience, now_s)
        return claims


def _verify(authorization: str) -> VapidClaims:
    scheme, _, rest = authorization.partition(" ")
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    if scheme.lower() != "vapid" or "t" not in fields or "k" not in fields:
        raise BadVapid("not 'vapid t=…, k=…'")
    try:
        signed, _, signature_text = fields["t"].rpartition(".")
        header_text, _, claims_text = signed.partition(".")
        header, claims = json.loads(b64url_decode(header_text)), json.loads(b64url_decode(claims_text))
        signature, point = b64url_decode(signature_text), b64url_decode(fields["k"])
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError as error:
        raise BadVapid("token cannot be read") from error
    if header.get("alg") != "ES256" or len(signature) != 64:
        raise BadVapid("not ES256")
    pair = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        key.verify(utils.encode_dss_signature(*pair), signed.encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise BadVapid("signature does not fit") from error
    try:
        return VapidClaims(str(claims["aud"]), float(claims["exp"]), str(claims["sub"]), b64url_encode(point))
    except (KeyError, TypeError, ValueError) as error:
        raise BadVapid("aud, exp or sub is missing") from error


def _check(claims: VapidClaims, audience: str, now_s: float) -> None:
    if claims.audience != audience:
        raise BadVapid("aud claim in the token MUST include the origin")
    if claims.expires_s < now_s - _CLOCK_SKEW_S:
        raise BadVapid("token has expired")
    if claims.expires_s > now_s + _MAX_TOKEN_LIFE_S + _CLOCK_SKEW_S:
        raise BadVapid("exp is more than 24 h ahead")
    if not claims.subject.startswith(("mailto:", "https:")) or " " in claims.subject:
        raise BadVapid("sub is neither mailto: nor https:")
