"""End offsets of whole topics from Kafka in one request per broker; the I/O behind `progress.EndOffsets`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from capture.errors import DeliveryFailed

_TIMEOUT_S: Final = 5.0


class KafkaEndOffsets:
    """Asks Kafka; partition counts are looked up once, since they change only with capture stopped (design.md §4).

    Args:
        admin: confluent_kafka.admin.AdminClient.
    """

    def __init__(self, admin: AdminClient) -> None:
        self._admin = admin
        self._partitions: dict[str, int] = {}

    def __call__(self, topics: Sequence[str]) -> Mapping[str, tuple[int, ...]]:
        """Topic to the end offset of each partition.

        Raises:
            DeliveryFailed: Kafka did not tell all of them.
        """
        try:
            counts = {topic: self._count(topic) for topic in topics}
            wanted = {
                TopicPartition(topic, partition): OffsetSpec.latest()
                for topic, count in counts.items()
                for partition in range(count)
            }
            futures = self._admin.list_offsets(wanted, request_timeout=_TIMEOUT_S)
            found = {(at.topic, at.partition): future.result().offset for at, future in futures.items()}
        except KafkaException as error:
            raise DeliveryFailed(f"end offsets are not known: {_sentence(error)}") from error
        return {topic: tuple(found[topic, partition] for partition in range(count)) for topic, count in counts.items()}

    def _count(self, topic: str) -> int:
        if topic not in self._partitions:
            described = self._admin.list_topics(topic, timeout=_TIMEOUT_S).topics[topic]
            if described.error is not None or not described.partitions:
                raise DeliveryFailed(f"end offsets are not known: topic {topic} does not exist")
            self._partitions[topic] = len(described.partitions)
        return self._partitions[topic]


def _sentence(error: KafkaException) -> Any:
    return error.args[0] if error.args else error
