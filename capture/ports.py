"""What capture needs of the outside world, as protocols; the concrete clients are built in ops.wiring."""

import threading
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias

import psycopg
from confluent_kafka import KafkaException

from capture.refusals import RefusedRow
from capture.replication import ReplicationConnection

Delivered: TypeAlias = Callable[[Any, Any], None]


class Producer(Protocol):
    """The part of confluent_kafka.Producer that capture uses."""

    def produce(self, topic: str, value: bytes | None, key: bytes | None, **options: Any) -> None:
        """Queue a record; BufferError when the queue is full."""

    def poll(self, timeout: float) -> int:
        """Serve delivery callbacks."""

    def flush(self, timeout: float) -> int:
        """Wait for the queue; returns how many records are left."""

    def purge(self, in_queue: bool = True, in_flight: bool = True, blocking: bool = True) -> None:
        """Forget what is queued."""

    def list_topics(self, topic: str | None = None, timeout: float = -1) -> Any:
        """The cluster's metadata."""


Refuse: TypeAlias = Callable[[RefusedRow], None]
"""Returns once the dead letter is acknowledged by Kafka and the source row is marked; raises if it is not."""

Connect: TypeAlias = Callable[[], psycopg.Connection[Any]]
"""Opens an autocommit connection with the formats of `replication.pinned_conninfo`."""

OpenReplication: TypeAlias = Callable[[], ReplicationConnection]
"""Opens a walsender connection."""

OpenProducer: TypeAlias = Callable[[], Producer]
"""Opens a producer configured by `settings.producer_config`: one for each generation of the relay."""

CatchUp: TypeAlias = Callable[[threading.Event], None]
"""Sweeps everything that a new slot does not carry; raises if it could not."""

PRODUCER_ERRORS: Final = (KafkaException, SystemError)
"""What a producer raises from poll, flush and purge. A fatal error becomes SystemError when confluent-kafka meets it
while a delivery callback runs ("returned a result with an exception set"); the KafkaException is then its cause.
"""
