"""What capture is told: values only, made by ops.wiring from the settings model; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from topics.registry import CDC_PREFIX, captured_tables


def _registry_keys() -> Mapping[str, tuple[str, ...]]:
    return {table: (topic.key,) for table, topic in captured_tables().items()}


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """Settings of relay and sweeper.

    Attributes:
        slot_name, publication_name: created when missing.
        tables: captured tables of schema public.
        key_columns: table to the columns of its message key; a table that is not named takes its primary key.
        topic_prefix: first part of every topic name and `source.name`.
        connector_version: `source.version`.
        mq_provider: `kafka`, or `none` for a relay that publishes nothing.
        max_record_bytes: key and value together; a larger row becomes a dead letter. Not above the topic's limit.
        status_interval_s: standby status at least this often, whatever Kafka does.
        confirm_interval_s: and at most this often after acknowledgements.
        start_timeout_s: how long a broker or database may be absent at start.
        stop_timeout_s: how long a stop waits for what is queued.
        standby_interval_s: how often a standby tries to take the slot.
        reconnect_s_max: longest pause between two attempts after a failure.
        recreations_per_hour: how often a lost slot is created again.
    """

    slot_name: str = "bongsu"
    publication_name: str = "bongsu"
    tables: tuple[str, ...] = field(default_factory=lambda: tuple(captured_tables()))
    key_columns: Mapping[str, tuple[str, ...]] = field(default_factory=_registry_keys)
    topic_prefix: str = CDC_PREFIX
    connector_version: str = "3.3.1.Final"
    mq_provider: str = "kafka"
    max_record_bytes: int = 1_000_000
    status_interval_s: float = 1.0
    confirm_interval_s: float = 0.02
    start_timeout_s: float = 60.0
    stop_timeout_s: float = 8.0
    standby_interval_s: float = 1.0
    reconnect_s_max: float = 5.0
    recreations_per_hour: int = 3

    def topic(self, table: str) -> str:
        """The topic of a captured table."""
        return f"{self.topic_prefix}.public.{table}"


def producer_config(connection: Mapping[str, Any], max_record_bytes: int) -> dict[str, Any]:
    """Configuration of librdkafka for relay and sweeper.

    Args:
        connection: bootstrap.servers and security settings.
        max_record_bytes: the relay's own limit; the client's lies above it, so that the relay decides.
    """
    return {
        **connection,
        "acks": "all",
        "enable.idempotence": True,
        # A record that fails for good must not be overtaken by the next one of its key: the producer stops instead.
        "enable.gapless.guarantee": True,
        # A broker that is away is waited for; giving up would only start the same stream again.
        "message.timeout.ms": 0,
        # Java's partitioner in C: as topics.partitioning.partition_for, which costs 4 µs a key in Python.
        "partitioner": "murmur2_random",
        "log_level": 3,
        "linger.ms": 5,
        "compression.type": "lz4",
        "message.max.bytes": max_record_bytes + 65_536,
        # The back-pressure: a full queue stops reading the socket.
        "queue.buffering.max.kbytes": 65_536,
        "queue.buffering.max.messages": 200_000,
        "batch.num.messages": 10_000,
    }
