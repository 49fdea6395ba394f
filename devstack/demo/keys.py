"""A VAPID key pair for one run, in the form of the runbook's settings (base64url, 000 L9)."""

from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from devstack.user_agent import b64url_encode


@dataclass(frozen=True, slots=True)
class VapidKeys:
    """Uncompressed public point and private scalar, both base64url without padding."""

    public: str
    private: str


def make_vapid_keys() -> VapidKeys:
    """A fresh pair on P-256."""
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    scalar = key.private_numbers().private_value.to_bytes(32, "big")
    return VapidKeys(b64url_encode(point), b64url_encode(scalar))
