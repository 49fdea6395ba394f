"""Kafka as an operator's command reads it: offsets, groups and records, without joining any group.

One consumer per use, closed at the end; it commits nothing. Every failure to reach a broker is
DependencyUnavailable with the address that was tried.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ops.errors import DependencyUnavailable
from ops.kafka_config import client_config, reader_config
from ops.lag import Partition, PartitionOffsets
from ops.settings_model import Settings

if TYPE_CHECKING:
    from confluent_kafka import Consumer

_TIMEOUT_S = 10.0
_METADATA_TIMEOUT_S = 5.0
_POLL_S = 0.2
_AT_ONCE = 10
"""Partitions that are read together when timestamps are looked up: a bound on load, not on correctness."""
_NO_OFFSET = -1001


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One record as it stands in a topic."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


@contextmanager
def reachable(settings: Settings) -> Iterator[None]:
    """Turn the client's errors into one sentence with the address."""
    from confluent_kafka import KafkaException

    try:
        yield
    except KafkaException as error:
        raise DependencyUnavailable(
            f"KAFKA_BOOTSTRAP_SERVERS is {settings.kafka_bootstrap_servers}, where no broker answers: "
            f"{_why(error)}. Is it running, and does KAFKA_SECURITY_PROTOCOL "
            f"({settings.kafka_security_protocol}) fit?"
        ) from error


def _why(error: Exception) -> str:
    cause = error.args[0] if error.args else error
    return str(cause.str()) if hasattr(cause, "str") else str(cause)


@contextmanager
def consumer(settings: Settings, **overrides: Any) -> Iterator["Consumer"]:
    """A consumer that leaves no trace, closed at the end."""
    from confluent_kafka import Consumer

    opened = Consumer({**reader_config(settings, "look"), **overrides})
    try:
        with reachable(settings):
            yield opened
    finally:
        opened.close()


def broker_answers(settings: Settings) -> str | None:
    """One attempt for `ops.waiting`: None when a broker answers, else why not."""
    try:
        partition_counts(settings, timeout_s=2.0)
    except DependencyUnavailable as error:
        return str(error).rpartition("answers: ")[2].partition(". Is it running")[0]
    return None


def partition_counts(settings: Settings, timeout_s: float = _METADATA_TIMEOUT_S) -> dict[str, int]:
    """Every topic of the cluster with its number of partitions."""
    from confluent_kafka.admin import AdminClient

    with reachable(settings):
        listed = AdminClient(client_config(settings, "look")).list_topics(timeout=timeout_s).topics
    return {name: len(topic.partitions) for name, topic in listed.items() if topic.error is None}


def committed_offsets(
    settings: Settings, group: str, topics: Iterable[str], partitions: dict[str, int]
) -> list[PartitionOffsets]:
    """Committed, oldest and end offset of every partition of `topics` for one group; absent topics are left out."""
    from confluent_kafka import TopicPartition

    wanted = [TopicPartition(topic, number) for topic in topics for number in range(partitions.get(topic, 0))]
    if not wanted:
        return []
    found = []
    with consumer(settings, **{"group.id": group}) as reader:
        for position in reader.committed(wanted, timeout=_TIMEOUT_S):
            low, end = reader.get_watermark_offsets(
                TopicPartition(position.topic, position.partition), timeout=_TIMEOUT_S
            )
            committed = None if position.offset == _NO_OFFSET else position.offset
            found.append(PartitionOffsets(group, position.topic, position.partition, committed, low, end))
    return found


def first_timestamps(
    settings: Settings, positions: Sequence[tuple[Partition, int]], timeout_s: float = _TIMEOUT_S
) -> dict[tuple[Partition, int], int]:
    """Timestamp (Unix ms) of the record at each position; a position that gives none in time is left out."""
    found: dict[tuple[Partition, int], int] = {}
    with consumer(settings, **{"queued.min.messages": 1, "fetch.max.bytes": 1_000_000}) as reader:
        for first in range(0, len(positions), _AT_ONCE):
            found |= _read_first(reader, positions[first : first + _AT_ONCE], timeout_s)
    return found


def _read_first(
    reader: "Consumer", positions: Sequence[tuple[Partition, int]], timeout_s: float
) -> dict[tuple[Partition, int], int]:
    from confluent_kafka import TopicPartition

    asked = dict(positions)
    found: dict[tuple[Partition, int], int] = {}
    reader.assign([TopicPartition(topic, number, offset) for (topic, number), offset in positions])
    deadline = time.monotonic() + timeout_s
    while asked and time.monotonic() < deadline:
        message = reader.poll(_POLL_S)
        if message is None:
            continue
        partition = (message.topic(), message.partition())
        offset = asked.pop(partition, None)
        if offset is None:
            continue
        reader.pause([TopicPartition(*partition)])
        if message.error() is None:
            found[partition, offset] = int(message.timestamp()[1])
    reader.unassign()
    return found


def records(
    settings: Settings, topic: str, *, follow: bool = False, at: tuple[int, int] | None = None
) -> Iterator[RawRecord | None]:
    """Every record of a topic from its beginning, partitions side by side.

    Yields None once, when everything that was there at the start has been read; ends there unless `follow`.
    With `at` (partition, offset) only that partition is read, from that offset.
    """
    from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, TopicPartition

    count = partition_counts(settings).get(topic, 0)
    starts = [(at[0], at[1])] if at else [(number, OFFSET_BEGINNING) for number in range(count)]
    with consumer(settings) as reader:
        unread = {number for number, _ in starts}
        if unread:
            reader.assign([TopicPartition(topic, number, offset) for number, offset in starts])
        else:
            yield None
        while unread or follow:
            message = reader.poll(_POLL_S)
            if message is None:
                continue
            error = message.error()
            if error is None:
                yield _raw(message)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 -- the client's only name for it
                if message.partition() in unread:
                    unread.discard(message.partition())
                    if not unread:
                        yield None
            elif not error.retriable() or error.fatal():
                raise KafkaException(error)


def _raw(message: Any) -> RawRecord:
    return RawRecord(
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        timestamp_ms=int(message.timestamp()[1]),
        key=message.key(),
        value=message.value(),
    )


def group_members(settings: Settings, groups: Sequence[str]) -> dict[str, int | None]:
    """Members of each group; None where the broker does not tell (the embedded one has no DescribeGroups)."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    if settings.embedded_broker:
        return dict.fromkeys(groups)
    found: dict[str, int | None] = {}
    with reachable(settings):
        asked = AdminClient(client_config(settings, "look")).describe_consumer_groups(
            list(groups), request_timeout=_TIMEOUT_S
        )
    for group, future in asked.items():
        try:
            found[group] = len(future.result(timeout=_TIMEOUT_S).members)
        except KafkaException:
            found[group] = 0  # a group that never existed is described as an error by newer brokers
    return found
