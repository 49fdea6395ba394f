"""The windows role: phase one, phase two and their followers, put together from injected parts."""

import asyncio
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass

from aiokafka import TopicPartition

from schemas.avro import AvroCodec
from streams.alerts.published import PublishedAlerts
from streams.alerts.rule import RuleSet
from streams.alerts.ticker import AlertPublisher, Evaluator
from streams.engine.outcomes import Handler
from streams.windows.counting import ChangeCounter
from streams.windows.follower import Consumer, Follower, OpenConsumer
from streams.windows.merge import View
from streams.windows.tables import PANES_TABLE, changelog_topic
from topics.registry import ALERTS, PROGRESS


@dataclass(frozen=True, slots=True)
class WindowsPartitions:
    """Partition counts as the cluster has them.

    Attributes:
        cdc: of the counted cdc topics, all alike, and so of the panes Table.
        progress: of the progress topic, and so of the alert state Table.
        alerts: of the alerts topic.
    """

    cdc: int
    progress: int
    alerts: int


class WindowsRole:
    """Counts changes, evaluates rules, publishes alerts.

    Args:
        rules: the rules in force, scaled.
        group_id: the app's id; names the changelog.
        partitions: as the cluster has them.
        panes, states: the Tables of `streams.windows.tables`, keys and values bytes.
        publisher: for `alerts`.
        codec: knows the alert schema.
        open_consumer: opens a started `AIOKafkaConsumer` without topics and group, `auto_offset_reset="earliest"`,
            `enable_auto_commit=False`; called anew after each failure, so it must not cache.
        now_ms: wall clock.
    """

    def __init__(
        self,
        rules: RuleSet,
        *,
        group_id: str,
        partitions: WindowsPartitions,
        panes: MutableMapping[bytes, bytes],
        states: MutableMapping[bytes, bytes],
        publisher: AlertPublisher,
        codec: AvroCodec,
        open_consumer: OpenConsumer,
        now_ms: Callable[[], int],
    ) -> None:
        self.view = View(rules.layout)
        self.published = PublishedAlerts(codec)
        self._partitions = partitions
        self._counter = ChangeCounter(rules.signals, rules.layout, rules.retention_ms, panes)
        self._followers = (
            Follower(
                changelog_topic(group_id, PANES_TABLE),
                partitions.cdc,
                open_consumer,
                self.view.apply,
                self.view.clear,
                check=self._note_floors,
            ),
            Follower(ALERTS, partitions.alerts, open_consumer, self.published.apply, self.published.clear),
        )
        self._evaluator = Evaluator(
            rules,
            self.view,
            self.published,
            self._followers,
            states=states,
            publisher=publisher,
            encoder=codec,
            now_ms=now_ms,
        )

    @property
    def inputs(self) -> Mapping[str, Handler]:
        """Topic to handler, for the engine."""
        return {**dict.fromkeys(self._counter.topics, self._counter.handle), PROGRESS: self._evaluator.handle}

    async def background(self) -> None:
        """Follow the panes changelog and `alerts` until cancelled."""
        async with asyncio.TaskGroup() as followers:
            for follower in self._followers:
                followers.create_task(follower.run())

    async def _note_floors(self, consumer: Consumer) -> None:
        # What retention took before it was counted will never be: without this the evaluator would wait for it.
        asked = [
            TopicPartition(topic, partition)
            for topic in self._counter.topics
            for partition in range(self._partitions.cdc)
        ]
        floors = await consumer.beginning_offsets(asked)
        self.view.raise_floors({(source.topic, source.partition): offset for source, offset in floors.items()})
