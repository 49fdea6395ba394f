"""Follows all partitions of a topic from the beginning, read-only, for ever: phase two's reader.

No consumer group: every worker follows for itself, so each is a hot standby of the evaluator. It is the follower, not
the client, that remembers how far it has read, so a client that got stuck (a frozen broker, a connection that never
comes back) is replaced without reading twice or leaving a gap.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.windows import metrics

log = logging.getLogger(__name__)

_POLL_MS: Final = 200
_MAX_RECORDS: Final = 2_000
_CHECK_EVERY_S: Final = 5.0
_CALL_TIMEOUT_S: Final = 10.0
_CHECKS_UNTIL_STUCK: Final = 3


class Fetched(Protocol):
    """One record, as `aiokafka.ConsumerRecord` has it."""

    key: bytes | None
    value: bytes | None
    offset: int


class Consumer(Protocol):
    """The part of `aiokafka.AIOKafkaConsumer` that is used: no group, `auto_offset_reset="earliest"`."""

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        """Read these partitions, from their beginning unless told otherwise."""
        ...

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from here."""
        ...

    async def getmany(self, *, timeout_ms: int, max_records: int) -> Mapping[TopicPartition, Sequence[Fetched]]:
        """What has arrived."""
        ...

    async def position(self, partition: TopicPartition) -> int:
        """Offset of the next record."""
        ...

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Offsets after the last records."""
        ...

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Offsets of the first records."""
        ...

    async def stop(self) -> None:
        """Close the connections."""
        ...


OpenConsumer = Callable[[], Awaitable[Consumer]]
"""Opens a started consumer that was constructed without topics."""


class _Stuck(Exception):
    """Records are there and none arrives."""


class Follower:
    """Reads a topic into something.

    Args:
        topic: what to follow.
        partitions: how many it has.
        open_consumer: opens a client; called anew after each failure.
        apply: takes one record, key and value; an exception of its own ends the follower.
        clear: forgets everything applied; called when the topic lost what was read (it was made anew).
        check: called with the client every few seconds, for whoever wants to ask the broker something.
        retry_s: pause after a failure.
    """

    def __init__(
        self,
        topic: str,
        partitions: int,
        open_consumer: OpenConsumer,
        apply: Callable[[bytes, bytes | None], None],
        clear: Callable[[], None],
        *,
        check: Callable[[Consumer], Awaitable[None]] | None = None,
        retry_s: float = 1.0,
    ) -> None:
        self._topic = topic
        self._partitions = tuple(TopicPartition(topic, number) for number in range(partitions))
        self._open = open_consumer
        self._apply = apply
        self._clear = clear
        self._check = check
        self._retry_s = retry_s
        self._next: dict[TopicPartition, int] = {}
        self._asked = 0
        self._targeted = 0
        self._targets: Mapping[TopicPartition, int] = {}
        self._answered = 0
        self._applied = 0
        self._checked_s = 0.0
        self._applied_at_check = 0
        self._idle_checks = 0

    def ask_for_present(self) -> int:
        """Ask to read up to what the topic holds now.

        Returns:
            a number for `has_answered`.
        """
        self._asked += 1
        return self._asked

    def has_answered(self, question: int) -> bool:
        """Whether everything that the topic held when `question` was asked has been applied."""
        return self._answered >= question

    async def run(self) -> None:
        """Follow until cancelled; failures of the broker are waited out.

        Raises:
            Exception: whatever `apply` raised.
        """
        while True:
            try:
                consumer = await self._open()
                try:
                    await self._follow(consumer)
                finally:
                    async with asyncio.timeout(_CALL_TIMEOUT_S):
                        await consumer.stop()
            except (KafkaError, OSError, TimeoutError, _Stuck) as error:
                metrics.window_view_restarts.labels(self._topic).inc()
                log.warning("following %s was interrupted, again in %.1f s: %r", self._topic, self._retry_s, error)
            await asyncio.sleep(self._retry_s)

    async def _follow(self, consumer: Consumer) -> None:
        consumer.assign(self._partitions)
        await self._resume(consumer)
        clock = asyncio.get_running_loop().time
        self._idle_checks, self._checked_s = 0, clock() - _CHECK_EVERY_S
        while True:
            if self._asked > self._targeted:
                question = self._asked
                self._targets, self._targeted = await self._ends(consumer), question
            if clock() - self._checked_s >= _CHECK_EVERY_S:
                await self._look_around(consumer)
                self._checked_s = clock()
            self._take(await consumer.getmany(timeout_ms=_POLL_MS, max_records=_MAX_RECORDS))
            await self._note_positions(consumer)
            if not self._behind(self._targets):
                self._answered = self._targeted

    async def _resume(self, consumer: Consumer) -> None:
        ends = await self._ends(consumer)
        if any(self._next.get(partition, 0) > end for partition, end in ends.items()):
            log.warning("%s holds less than was read: it was made anew, reading from its beginning", self._topic)
            self._next.clear()
            self._clear()
        for partition, offset in self._next.items():
            consumer.seek(partition, offset)

    async def _ends(self, consumer: Consumer) -> Mapping[TopicPartition, int]:
        async with asyncio.timeout(_CALL_TIMEOUT_S):
            return await consumer.end_offsets(self._partitions)

    def _take(self, fetched: Mapping[TopicPartition, Sequence[Fetched]]) -> None:
        for partition, records in fetched.items():
            for record in records:
                if record.key is not None:
                    self._apply(record.key, record.value)
                self._next[partition] = record.offset + 1
            self._applied += len(records)

    async def _note_positions(self, consumer: Consumer) -> None:
        # Compaction leaves holes: the client's position may pass offsets that no record has.
        async with asyncio.timeout(_CALL_TIMEOUT_S):
            for partition in self._partitions:
                position = await consumer.position(partition)
                self._next[partition] = max(position, self._next.get(partition, 0))

    def _behind(self, ends: Mapping[TopicPartition, int]) -> int:
        return sum(max(0, end - self._next.get(partition, 0)) for partition, end in ends.items())

    async def _look_around(self, consumer: Consumer) -> None:
        behind = self._behind(await self._ends(consumer))
        metrics.window_view_behind_records.labels(self._topic).set(behind)
        moved = self._applied > self._applied_at_check
        self._applied_at_check = self._applied
        self._idle_checks = self._idle_checks + 1 if behind and not moved else 0
        if self._idle_checks >= _CHECKS_UNTIL_STUCK:
            raise _Stuck(f"{behind} records of {self._topic} are there and none arrives")
        if self._check is not None:
            async with asyncio.timeout(_CALL_TIMEOUT_S):
                await self._check(consumer)
