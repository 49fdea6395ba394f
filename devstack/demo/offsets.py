"""Where topics end and how far the groups have read, without joining any group."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from ops.roles import group_id
from topics.registry import PROGRESS, topics_read_by

Place = tuple[str, int]
"""Topic and partition."""

_TIMEOUT_S: Final = 2.0


class Offsets:
    """Looks at one broker.

    Args:
        client_config: librdkafka configuration of any client.
        group_prefix: first part of the groups' names.
        roles: whose groups to look at.
    """

    def __init__(self, client_config: Mapping[str, Any], group_prefix: str, roles: Iterable[str]) -> None:
        self._client_config = dict(client_config)
        self._admin = AdminClient(self._client_config)
        self._readers: dict[str, tuple[Consumer, list[Place]]] = {}
        for role in roles:
            group = group_id(group_prefix, role)
            places = [
                (topic.name, number)
                for topic in topics_read_by(role)
                # The progress topic is a clock: it ticks on when there is nothing left to do.
                if topic.name != PROGRESS
                for number in range(topic.partitions)
            ]
            self._readers[group] = Consumer({**client_config, "group.id": group}), places

    def ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """End offset of each partition. Raises KafkaException when the broker does not answer in time."""
        asked = {TopicPartition(*place): OffsetSpec.latest() for place in places}
        try:
            return self._ends(asked)
        except KafkaException:
            # A broker that was restarted has newer leader epochs than this client has heard of.
            self._admin = AdminClient(self._client_config)
            return self._ends(asked)

    def _ends(self, asked: dict[TopicPartition, OffsetSpec]) -> dict[Place, int]:
        found = self._admin.list_offsets(asked, request_timeout=_TIMEOUT_S)
        return {(one.topic, one.partition): int(future.result().offset) for one, future in found.items()}

    def lag(self) -> dict[str, int]:
        """Group to records not yet read. Raises KafkaException likewise."""
        ends = self.ends({place for _, places in self._readers.values() for place in places})
        found = {}
        for group, (reader, places) in self._readers.items():
            positions = reader.committed([TopicPartition(*place) for place in places], timeout=_TIMEOUT_S)
            found[group] = sum(max(0, ends[one.topic, one.partition] - max(0, one.offset)) for one in positions)
        return found

    def close(self) -> None:
        """Close all readers."""
        for reader, _ in self._readers.values():
            reader.close()
