"""How to reach a Kafka cluster that asks for TLS or a login, in Faust's and aiokafka's terms."""

import ssl
from dataclasses import dataclass
from typing import Any

import faust


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """Security settings by librdkafka's names, passed through.

    Attributes:
        protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
        sasl_mechanism: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
        ssl_*_location: PEM files; without a CA file the system's authorities are trusted.
    """

    protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = None
    ssl_ca_location: str | None = None
    ssl_certificate_location: str | None = None
    ssl_key_location: str | None = None
    ssl_key_password: str | None = None


def tls_context(security: KafkaSecurity) -> ssl.SSLContext | None:
    """The client's TLS context; None for a protocol without TLS.

    Raises:
        OSError: a PEM file cannot be read.
    """
    if security.protocol not in {"SSL", "SASL_SSL"}:
        return None
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=security.ssl_ca_location)
    if security.ssl_certificate_location is not None:
        context.load_cert_chain(
            security.ssl_certificate_location,
            keyfile=security.ssl_key_location,
            password=security.ssl_key_password,
        )
    return context


def credentials(security: KafkaSecurity) -> Any:
    """Faust's credentials for these settings; None for PLAINTEXT.

    Raises:
        ValueError: the protocol is unknown, or SASL is asked for without a mechanism, user or password.
    """
    match security.protocol:
        case "PLAINTEXT":
            return None
        case "SSL":
            return faust.SSLCredentials(context=tls_context(security))
        case "SASL_PLAINTEXT" | "SASL_SSL":
            return _sasl(security)
        case other:
            raise ValueError(f"kafka_security_protocol is {other!r}; one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL")


def _sasl(security: KafkaSecurity) -> Any:
    missing = [name for name in ("sasl_mechanism", "sasl_username", "sasl_password") if getattr(security, name) is None]
    if missing:
        raise ValueError(f"kafka_security_protocol {security.protocol} needs kafka_{', kafka_'.join(missing)}")
    return faust.SASLCredentials(
        username=security.sasl_username,
        password=security.sasl_password,
        mechanism=security.sasl_mechanism,
        ssl_context=tls_context(security),
    )
