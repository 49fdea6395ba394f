"""The windows role's parts: rules, tables, the consumers that follow its changelogs."""

import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from aiokafka import AIOKafkaConsumer

from ops.changelogs import changelogs
from ops.roles import group_id
from ops.settings_model import Settings
from ops.workbench import Parts, Workbench
from streams.alerts.role import WindowsPartitions, WindowsRole
from streams.alerts.rules import shipped_rules
from streams.engine.app import EngineApp
from streams.engine.batch import RecordBatch
from streams.engine.kafka_security import KafkaSecurity, tls_context
from streams.engine.outcomes import Handled, Handler
from streams.windows.tables import ALERTS_TABLE, PANES_TABLE
from topics.publisher import Publisher
from topics.registry import ALERTS, PROGRESS, topics_read_by

_FOLLOWER_MAX_WAIT_MS = 100


async def build_windows(bench: Workbench, _stack: AsyncExitStack, publisher: Publisher) -> Parts:
    """The windows role. Its tables exist only once the app does, so the role is made in the tables hook."""
    settings = bench.settings
    counted = [topic.name for topic in topics_read_by("windows") if topic.schema == "cdc"]
    wanted = [*counted, PROGRESS, ALERTS, *(topic.name for topic in changelogs(settings.group_prefix))]
    partitions = dict(zip(wanted, bench.partitions(*wanted), strict=True))
    made: list[WindowsRole] = []

    def tables(app: EngineApp) -> None:
        cdc, progress = partitions[counted[0]], partitions[PROGRESS]
        made.append(
            WindowsRole(
                shipped_rules(settings.alert_speed),
                group_id=group_id(settings.group_prefix, "windows"),
                partitions=WindowsPartitions(cdc=cdc, progress=progress, alerts=partitions[ALERTS]),
                panes=_table(app, PANES_TABLE, cdc),
                states=_table(app, ALERTS_TABLE, progress),
                publisher=publisher,
                codec=bench.codec,
                open_consumer=lambda: follower_consumer(settings),
                now_ms=lambda: time.time_ns() // 1_000_000,
            )
        )

    def forward(topic: str) -> Handler:
        async def handle(batch: RecordBatch) -> Handled:
            return await made[0].inputs[topic](batch)

        return handle

    async def background() -> None:
        await made[0].background()

    return Parts({topic: forward(topic) for topic in (*counted, PROGRESS)}, (background,), tables)


def _table(app: EngineApp, name: str, partitions: int) -> Any:
    return app.Table(name, partitions=partitions, key_type=bytes, value_type=bytes)


async def follower_consumer(settings: Settings) -> AIOKafkaConsumer:
    """A started consumer without topics and group, which reads from the beginning and commits nothing."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.brokers(),
        client_id=f"{settings.group_prefix}-windows-follower",
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=_FOLLOWER_MAX_WAIT_MS,
        **aiokafka_security(settings),
    )
    await consumer.start()
    return consumer


def aiokafka_security(settings: Settings) -> Mapping[str, Any]:
    """TLS and SASL in aiokafka's names."""
    password, key_password = settings.kafka_sasl_password, settings.kafka_ssl_key_password
    security: dict[str, Any] = {"security_protocol": settings.kafka_security_protocol}
    if settings.kafka_security_protocol.startswith("SASL"):
        security |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_sasl_username,
            "sasl_plain_password": password.get_secret_value() if password else None,
        }
    context = tls_context(
        KafkaSecurity(
            protocol=settings.kafka_security_protocol,
            ssl_ca_location=_text(settings.kafka_ssl_ca_location),
            ssl_certificate_location=_text(settings.kafka_ssl_certificate_location),
            ssl_key_location=_text(settings.kafka_ssl_key_location),
            ssl_key_password=key_password.get_secret_value() if key_password else None,
        )
    )
    return security if context is None else {**security, "ssl_context": context}


def _text(value: object) -> str | None:
    return None if value is None else str(value)
