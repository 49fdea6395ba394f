"""The consumer thread: fetches slices and says exactly which stretch of the log each one covers.

Everything here runs on the consumer thread's own event loop, heartbeats too: a handler that keeps the main loop busy
does not cost the membership in the group.

Invariant: the span of a slice begins where the reader stood, which is the end of the last slice or the target of the
last seek; so holes that Kafka skipped lie inside a span and every other hole is seen by `positions`.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    GroupAuthorizationFailedError,
    IllegalStateError,
    InvalidGroupIdError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

from streams.engine.batch import Record
from streams.engine.positions import Partition, Span

log = logging.getLogger(__name__)

LEADER_WAIT_S = 0.05
"""What a rebalance costs more, so that groups of several members work on the embedded broker."""

FORBIDDEN = (GroupAuthorizationFailedError, TopicAuthorizationFailedError, InvalidGroupIdError)
"""What no retry mends."""

FAUST_LOG = logging.getLogger("faust.engine")
"""For the life cycle messages that Faust's services log under their subclass's module."""

COMMIT_TIMEOUT_S = 10
"""How long one commit may take before it counts as failed."""


@dataclass(frozen=True, slots=True)
class FetchedSlice:
    """Records of one partition as they came from one fetch, and the span that they cover."""

    records: Sequence[Record]
    span: Span


@dataclass(frozen=True, slots=True)
class Seek:
    """Where to read next, and the token of that decision; `offset` None = the committed one, else the beginning."""

    offset: int | None
    token: int


@dataclass(frozen=True, slots=True)
class Sought:
    """Where the reader stands after a seek; `committed` is None if the group has no commit there or was not asked."""

    offset: int
    committed: int | None


class SliceThread(AIOKafkaConsumerThread):
    """aiokafka's consumer, sliced topics by the partition, all others as Faust has them."""

    logger = FAUST_LOG

    def __post_init__(self) -> None:
        """Begin without any position."""
        super().__post_init__()
        self.sliced_topics: frozenset[str] = frozenset()
        self.fetch_max_wait_ms = 500
        self.cursors: dict[Partition, int] = {}
        self._tokens: dict[Partition, int] = {}

    async def on_start(self) -> None:
        """Start the consumer, and let it answer as a group's leader a moment after the others."""
        await super().on_start()
        coordinator = self._ensure_consumer()._coordinator
        perform_assignment = coordinator._perform_assignment

        async def perform_assignment_late(response: Any) -> Any:
            # The embedded broker refuses a follower whose SyncGroup comes after the leader's; Kafka does not.
            await asyncio.sleep(LEADER_WAIT_S)
            return await perform_assignment(response)

        coordinator._perform_assignment = perform_assignment_late

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Stock is 1500 ms: an idle fetch would keep a partition just sought or assigned waiting that long, since
        # aiokafka has one fetch under way per broker.
        consumer._fetch_max_wait_ms = self.fetch_max_wait_ms
        return consumer

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: float | None = None,  # noqa: ASYNC109 - Faust's signature
        max_records: int | None = None,
    ) -> dict[Any, Any]:
        fetched = await super()._fetch_records(consumer, active_partitions, timeout, max_records)
        return {
            tp: self._slice(consumer, tp, records) if tp.topic in self.sliced_topics else records
            for tp, records in fetched.items()
        }

    def _slice(self, consumer: Any, tp: Any, records: Sequence[Record]) -> FetchedSlice:
        where = Partition(tp.topic, tp.partition)
        # Read without an await since the records were drained, so this is the position after exactly these records.
        next_offset = consumer._subscription.subscription.assignment.state_value(tp).position
        first_record = records[0].offset
        cursor = self.cursors.get(where, first_record)
        rewound = first_record < cursor
        if rewound:
            log.error("%s-%d went back from offset %d to %d: the log was replaced", *where, cursor, first_record)
        elif first_record - cursor > 0:
            log.info("%s-%d has no records at offsets %d to %d", *where, cursor, first_record - 1)
        self.cursors[where] = next_offset
        first_offset = first_record if rewound else cursor
        return FetchedSlice(records, Span(first_offset, next_offset, self._tokens.get(where, 0), rewound))

    async def seek_slices(self, seeks: Mapping[Partition, Seek]) -> dict[Partition, Sought]:
        """Move the reader; slices fetched from now on carry the seeks' tokens.

        Raises:
            IllegalStateError: a partition is no longer assigned.
            KafkaError: the committed or first offsets cannot be had.
        """
        return await self.call_thread(self._seek_slices, seeks)  # type: ignore[no-any-return]

    async def _seek_slices(self, seeks: Mapping[Partition, Seek]) -> dict[Partition, Sought]:
        consumer = self._ensure_consumer()
        sought = await self._resolve(consumer, seeks)
        for where, target in sought.items():
            consumer.seek(TopicPartition(*where), target.offset)
            self.cursors[where] = target.offset
            self._tokens[where] = seeks[where].token
        return sought

    async def _resolve(self, consumer: Any, seeks: Mapping[Partition, Seek]) -> dict[Partition, Sought]:
        sought = {where: Sought(seek.offset, None) for where, seek in seeks.items() if seek.offset is not None}
        unknown = [TopicPartition(*where) for where in seeks if where not in sought]
        if not unknown:
            return sought
        commits = await consumer._coordinator.fetch_committed_offsets(unknown)
        committed = {tp: commits[tp].offset for tp in unknown if tp in commits and commits[tp].offset >= 0}
        fresh = [tp for tp in unknown if tp not in committed]
        beginnings = await consumer.beginning_offsets(fresh) if fresh else {}
        for tp in unknown:
            offset = committed[tp] if tp in committed else beginnings[tp]
            sought[Partition(tp.topic, tp.partition)] = Sought(offset, committed.get(tp))
        return sought

    async def seek_stock_to_committed(self, partitions: Sequence[Any]) -> Mapping[Any, int | None]:
        """Faust's own seek, for the partitions that the engine does not own."""
        targets = [TopicPartition(tp.topic, tp.partition) for tp in partitions]
        return await self.call_thread(  # type: ignore[no-any-return]
            self._ensure_consumer().seek_to_committed, *targets
        )

    async def check_group(self) -> None:
        """Hear what the group's coordination has to complain about, and let it go on.

        aiokafka stops coordinating after an error until its caller has heard it in `getmany`; Faust never asks, so such
        a worker would stay without partitions, silently.

        Raises:
            KafkaError: the group is not allowed to us, or coordination has ended: a restart is needed.
        """
        await self.call_thread(self._check_group)

    async def _check_group(self) -> None:
        coordinator = self._ensure_consumer()._coordinator
        try:
            coordinator.check_errors()
        except FORBIDDEN:
            raise
        except KafkaError as error:
            if coordinator._coordination_task.done():
                raise
            log.warning("the group's coordination failed and begins anew: %r", error)

    def forget(self) -> None:
        """Drop all cursors: the partitions were given up."""
        self.cursors.clear()
        self._tokens.clear()

    async def behind(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """Offsets between where the reader stands and the log's end, by partition.

        Raises:
            KafkaError: the broker does not answer.
        """
        return await self.call_thread(self._behind, partitions)  # type: ignore[no-any-return]

    async def _behind(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        consumer = self._ensure_consumer()
        ends = await consumer.end_offsets([TopicPartition(*where) for where in partitions])
        standings = {where: self._position(consumer, TopicPartition(*where)) for where in partitions}
        return {
            where: max(0, ends[TopicPartition(*where)] - position)
            for where, position in standings.items()
            if position is not None
        }

    def _position(self, consumer: Any, tp: TopicPartition) -> int | None:
        # Not the cursor: control records at a log's end are passed without a slice, and are nothing to do.
        if not consumer._subscription.is_assigned(tp):
            return None
        return consumer._subscription.subscription.assignment.state_value(tp)._position  # type: ignore[no-any-return]

    async def _commit(self, offsets: Mapping[Any, int]) -> bool:
        # Stock Faust crashes the worker on the first commit that fails; aiokafka retries for ever, which would keep a
        # stop or a rebalance waiting. Between the two: give up after a while, the next interval tries again.
        try:
            commit = self._ensure_consumer().commit(
                {TopicPartition(*tp): offset for tp, offset in offsets.items() if tp in self.assignment()}
            )
            await asyncio.wait_for(commit, COMMIT_TIMEOUT_S)
        except (CommitFailedError, IllegalStateError) as error:
            log.info("commit not taken, partitions are moving: %s", type(error).__name__)
            return False
        except TimeoutError:
            log.warning("commit not answered within %d s, tried again", COMMIT_TIMEOUT_S)
            return False
        except KafkaError as error:
            if not error.retriable:
                await self.crash(error)
            log.warning("commit failed, tried again: %r", error)
            return False
        return True
