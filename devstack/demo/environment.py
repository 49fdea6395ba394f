"""The settings that a demo gives its processes, as environment variables. Pure.

Three of them differ from production on purpose: rules run on a shortened clock, retries follow each other quickly (so
that a broken receiver turns into final failures within seconds), and the receivers' addresses on loopback are allowed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PASSED_ON: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "VIRTUAL_ENV", "PYTHONPATH", "SYSTEMROOT")
"""What a process gets from the caller's environment; a DATABASE_URL of production is not among it."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything is, and the keys that were made for this run."""

    database_url: str
    bootstrap_servers: str
    registry_url: str
    embedded: bool
    push_host: str
    push_ca_file: Path
    posthog_url: str
    vapid_public_key: str
    vapid_private_key: str
    metrics_port: int
    metrics_token: str


def process_environment(inherited: Mapping[str, str], addresses: Addresses, times_faster: float) -> dict[str, str]:
    """The whole environment of the relay and the workers.

    Args:
        inherited: the caller's environment, of which little is passed on.
        addresses: where everything is.
        times_faster: how many times faster than in production alert rules run, e.g. 30.
    """
    kept = {name: inherited[name] for name in PASSED_ON if name in inherited}
    return {
        **kept,
        "ENV": "demo",
        "LOG_FORMAT": "json",
        "DATABASE_URL": addresses.database_url,
        "KAFKA_BOOTSTRAP_SERVERS": addresses.bootstrap_servers,
        "SCHEMA_REGISTRY_URL": addresses.registry_url,
        "EMBEDDED_BROKER": "1" if addresses.embedded else "0",
        "REPLICATION_FACTOR": "1",
        "ALERT_TIME_SCALE": f"{1 / times_faster:.6g}",
        "SWEEP_EVERY_S": "15",
        "SWEEP_AFTER_S": "120",
        "WEB_PUSH_ENABLED": "1",
        "WEB_PUSH_MAX_RETRY": "1",
        "WEB_PUSH_RETRY_DELAY_MS": "300",
        "WEB_PUSH_TIMEOUT_S": "3",
        "WEB_PUSH_EXTRA_HOSTS": addresses.push_host,
        "WEB_PUSH_ALLOW_PRIVATE": "1",
        "WEB_PUSH_CA_FILE": str(addresses.push_ca_file),
        "VAPID_PUBLIC_KEY": addresses.vapid_public_key,
        "VAPID_PRIVATE_KEY": addresses.vapid_private_key,
        "VAPID_SUBJECT": "mailto:demo@bongsu.example",
        "POSTHOG_ENABLED": "1",
        "POSTHOG_HOST": addresses.posthog_url,
        "POSTHOG_API_KEY": "phc_demo",
        "POSTHOG_TIMEOUT_S": "3",
        "POSTHOG_MAX_RETRY": "1000",
        "POSTHOG_RETRY_DELAY_MS": "300",
        "METRICS_PORT": str(addresses.metrics_port),
        "METRICS_TOKEN": addresses.metrics_token,
    }
