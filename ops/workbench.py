"""What every role's builder gets, and what it gives back."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from capture.replication import pinned_conninfo
from ops.errors import ConfigError, DependencyUnavailable
from ops.kafka_config import client_config
from ops.settings_model import Settings
from schemas.avro import AvroCodec
from streams.engine.app import Background, TablesHook
from streams.engine.outcomes import Handler
from topics.schema_registry import SchemaRegistry

Connect = Callable[[], Awaitable[psycopg.AsyncConnection[Any]]]

_METADATA_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What a role brings to the engine.

    Attributes:
        inputs: topic to handler.
        background: loops beside the agents.
        tables: creates the role's Faust tables, None for a role without any.
    """

    inputs: Mapping[str, Handler]
    background: Sequence[Background] = ()
    tables: TablesHook | None = None


@dataclass(frozen=True, slots=True)
class Workbench:
    """What is there before a role is built."""

    settings: Settings
    registry: SchemaRegistry
    codec: AvroCodec

    def connect(self, role: str) -> Connect:
        """Opens asynchronous connections that PostgreSQL shows under the role's name."""
        # Time zone and formats pinned: year 9999 in UTC is year 10000 in Seoul, which Python cannot hold.
        conninfo = pinned_conninfo(self.settings.dsn(), application_name=f"bongsu-{role}")

        async def connect() -> psycopg.AsyncConnection[Any]:
            return await psycopg.AsyncConnection.connect(conninfo)

        return connect

    def partitions(self, *names: str) -> list[int]:
        """How many partitions the cluster gave these topics.

        Raises:
            ConfigError: a topic does not exist.
            DependencyUnavailable: no broker answers.
        """
        admin = AdminClient(client_config(self.settings, "partitions"))
        try:
            found = admin.list_topics(timeout=_METADATA_TIMEOUT_S).topics
        except KafkaException as error:
            raise DependencyUnavailable(f"KAFKA_BOOTSTRAP_SERVERS is {self.settings.brokers()}: {error}.") from error
        missing = [name for name in names if name not in found]
        if missing:
            raise ConfigError(f"The topics {', '.join(missing)} do not exist; make them with ./bongsu topics apply.")
        return [len(found[name].partitions) for name in names]
