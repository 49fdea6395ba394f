"""Where concrete clients are made and put together: pools, producers, sessions, apps. Nothing else constructs one.

A process is one of two functions, `ops.wiring_relay.run_relay` and `run_worker` here. Both return an exit code and
leave nothing open. The roles' parts are put together in `ops.wiring_roles` and `ops.wiring_windows`.
"""

import asyncio
from contextlib import AsyncExitStack

from confluent_kafka import Producer

from ops.errors import ConfigError
from ops.kafka_config import producer_config
from ops.metrics_server import PROCESS_HEARTBEAT
from ops.registry import registry
from ops.roles import group_id
from ops.settings_model import Settings
from ops.wiring_letters import PublishedLetters
from ops.wiring_roles import BUILDERS
from ops.workbench import Parts, Workbench
from schemas.avro import AvroCodec
from streams.engine.app import EngineApp, build_app
from streams.engine.kafka_security import KafkaSecurity
from streams.engine.settings import EngineSettings
from streams.engine.worker import run_worker as run_engine
from streams.metrics import PrometheusObserver
from topics.publisher import Publisher
from topics.registry import topics_read_by

_CLOSE_TIMEOUT_S = 5.0
_HEARTBEAT_S = 1.0
_FETCH_WAIT_MS = 100
_EMBEDDED_FETCH_WAIT_MS = 20


def run_worker(settings: Settings, role: str) -> int:
    """Run one role until a signal or a failure; returns the exit code.

    Raises:
        ConfigError: a setting makes the role impossible, or a topic that it reads does not exist.
        DependencyUnavailable: the schema registry or the broker went away between the checks and now.
    """
    with registry(settings) as client:
        bench = Workbench(settings, client, client.codec())
        # A consumer of a topic that does not exist waits for it without a word.
        bench.partitions(*(topic.name for topic in topics_read_by(role)))
        with asyncio.Runner() as runner:
            return runner.run(_work(settings, role, bench))


async def _work(settings: Settings, role: str, bench: Workbench) -> int:
    async with AsyncExitStack() as stack:
        publisher = Publisher(Producer(producer_config(settings, role)))
        stack.push_async_callback(publisher.close, _CLOSE_TIMEOUT_S)
        parts = await BUILDERS[role](bench, stack, publisher)
        app = _app(settings, role, parts, publisher, bench.codec)
        heartbeat = asyncio.create_task(_beat())
        stack.callback(heartbeat.cancel)
        return await run_engine(app)


def _app(settings: Settings, role: str, parts: Parts, publisher: Publisher, codec: AvroCodec) -> EngineApp:
    try:
        return build_app(
            engine_settings(settings, role),
            inputs=parts.inputs,
            dead_letters=PublishedLetters(publisher, codec),
            background=parts.background,
            tables=parts.tables,
            observer=PrometheusObserver(),
        )
    except (ValueError, OSError) as error:
        raise ConfigError(f"The Kafka security settings (KAFKA_*) do not fit together: {error}") from error


def engine_settings(settings: Settings, role: str) -> EngineSettings:
    """The engine's part of the settings."""
    return EngineSettings(
        role=role,
        group_id=group_id(settings.group_prefix, role),
        bootstrap_servers=settings.brokers(),
        version=settings.release_name,
        security=kafka_security(settings),
        session_timeout_s=settings.session_timeout_s,
        heartbeat_interval_s=settings.session_timeout_s / 4,
        max_poll_records=settings.max_poll_records,
        # The embedded broker does not wake an idle fetch when a record arrives: it answers when the wait is over.
        fetch_max_wait_ms=_EMBEDDED_FETCH_WAIT_MS if settings.embedded_broker else _FETCH_WAIT_MS,
        watchdog_s=settings.watchdog_s,
        dead_letter_value_bytes=settings.max_record_bytes,
    )


def kafka_security(settings: Settings) -> KafkaSecurity:
    """TLS and SASL for aiokafka."""
    password, key_password = settings.kafka_sasl_password, settings.kafka_ssl_key_password
    return KafkaSecurity(
        protocol=settings.kafka_security_protocol,
        sasl_mechanism=settings.kafka_sasl_mechanism,
        sasl_username=settings.kafka_sasl_username,
        sasl_password=password.get_secret_value() if password else None,
        ssl_ca_location=_path(settings.kafka_ssl_ca_location),
        ssl_certificate_location=_path(settings.kafka_ssl_certificate_location),
        ssl_key_location=_path(settings.kafka_ssl_key_location),
        ssl_key_password=key_password.get_secret_value() if key_password else None,
    )


def _path(value: object) -> str | None:
    return None if value is None else str(value)


async def _beat() -> None:
    while True:
        PROCESS_HEARTBEAT.beat()
        await asyncio.sleep(_HEARTBEAT_S)
