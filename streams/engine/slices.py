"""From a Faust event to an acknowledged slice: the agents' shell around `BatchProcessor`.

An agent decides nothing: the ledger says whether a slice is handed over, the processor what becomes of it. This module
tracks the slices in hand, so that a stop or a rebalance can finish them, and ends the process when one cannot be done.

Invariant: an offset is acknowledged here and nowhere else, after `Processed`.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, assert_never

from streams.engine.batch import RecordBatch
from streams.engine.letters import LetterHead
from streams.engine.observer import EngineObserver
from streams.engine.outcomes import Handler
from streams.engine.positions import Drop, Partition, SeekBack, Take
from streams.engine.processing import BatchProcessor, DeadLetterWriter, Edge, Processed, RetryPolicy
from streams.engine.settings import EngineSettings

log = logging.getLogger(__name__)

CANCEL_WAIT_S = 1.0
"""How long a cancelled handler may take to let go."""


class SliceEngine:
    """All input topics of one worker: their handlers, the slices in hand, and the worker's failure if there is one."""

    def __init__(
        self,
        settings: EngineSettings,
        inputs: Mapping[str, Handler],
        dead_letters: DeadLetterWriter,
        *,
        observer: EngineObserver,
        now_ms: Callable[[], int],
        monotonic_s: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.topics = frozenset(inputs)
        self.observer = observer
        self.failure: BaseException | None = None
        self.on_failure: Callable[[], None] = lambda: None
        self._in_hand: set[asyncio.Task[None]] = set()
        self._giving_up = asyncio.Event()
        edge = Edge(pause=self._pause, now_ms=now_ms, monotonic_s=monotonic_s, random=random)
        head = LetterHead(
            role=settings.role, version=settings.version, max_value_bytes=settings.dead_letter_value_bytes
        )
        retry = RetryPolicy(base_s=settings.retry_base_s, cap_s=settings.retry_cap_s)
        self._processors = {
            topic: BatchProcessor(handler, dead_letters, head=head, edge=edge, observer=observer, retry=retry)
            for topic, handler in inputs.items()
        }

    @property
    def backing_off(self) -> bool:
        """Whether some handler waits for its next attempt."""
        return any(processor.backing_off for processor in self._processors.values())

    async def consume(self, event: Any, consumer: Any) -> None:
        """Take one Faust event of a sliced topic to its end. Never raises but for cancellation.

        The work runs in a task of its own, which a hand-over can wait for and cut short without ending the agent.
        Created here, the task inherits the stream's current event, so handlers may write Faust tables.
        """
        task = asyncio.create_task(self._consume(event, consumer))
        self._in_hand.add(task)
        try:
            await asyncio.wait([task])
        finally:
            self._in_hand.discard(task)
            task.cancel()
            # Tells Faust that it is done with the message, and makes room for the next slice; moves no offset.
            event.ack()
        if task.cancelled() and not self._giving_up.is_set():
            self.fail(RuntimeError("a handler cancelled itself"), event.message.topic)
        if self.failure is not None:
            await asyncio.Event().wait()  # until the stopping worker cancels the agent: nothing further is handed over

    async def _consume(self, event: Any, consumer: Any) -> None:
        where = Partition(event.message.topic, event.message.partition)
        try:
            await self._deliver(where, event, consumer)
        except Exception as error:  # noqa: BLE001 - every unknown failure ends the process, whatever its class
            self.fail(error, f"handler of {where.topic}")

    async def _deliver(self, where: Partition, event: Any, consumer: Any) -> None:
        if self._giving_up.is_set() or self.failure is not None:
            return
        fetched = event.value.fetched
        decision = consumer.positions.deliver(where, fetched.span)
        match decision:
            case Take(from_offset, ticket):
                batch = RecordBatch(
                    topic=where.topic,
                    partition=where.partition,
                    records=fetched.records,
                    first_offset=fetched.span.first_offset,
                    next_offset=fetched.span.next_offset,
                    generation=event.message.generation_id,
                ).starting_at(from_offset)
                if not batch.records or await self._process(batch):
                    consumer.positions.acknowledge(ticket)
            case Drop():
                log.debug("dropped %s: delivered before or fetched before a seek", fetched.span)
            case SeekBack(offset, token):
                log.warning("%s-%d: slice at %s, wanted %d", *where, fetched.span, offset)
                await consumer.seek_back(where, offset, token)
            case _:
                assert_never(decision)

    async def _process(self, batch: RecordBatch) -> bool:
        return isinstance(await self._processors[batch.topic].process(batch), Processed)

    async def _pause(self, delay_s: float) -> bool:
        try:
            await asyncio.wait_for(self._giving_up.wait(), delay_s)
        except TimeoutError:
            return False
        return True

    def fail(self, error: BaseException, where: str) -> None:
        """Record what ends the worker and ask for the stop. The first failure counts."""
        log.critical("%s failed, the worker ends: %r", where, error, exc_info=error)
        if self.failure is None:
            self.failure = error
            self.on_failure()

    def taken_over(self) -> None:
        """New ownerships begin: slices are handed over again."""
        self._giving_up.clear()

    async def finish_in_hand(self) -> None:
        """Let the slices in hand end; back-offs end at once, what is not done within the bound is cancelled."""
        self._giving_up.set()
        if self._in_hand:
            _, late = await asyncio.wait(self._in_hand, timeout=self.settings.finish_in_hand_s)
            for task in late:
                log.warning("a slice in hand was not done in %.1f s, cut short", self.settings.finish_in_hand_s)
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=CANCEL_WAIT_S)

    async def hand_over(self, consumer: Any) -> None:
        """Before partitions are given up: no new slices, finish those in hand, commit what is acknowledged."""
        consumer.stop_flow()
        consumer.app.flow_control.suspend()
        consumer.app.flow_control.clear()
        await self.finish_in_hand()
        try:
            await asyncio.wait_for(self._commit_all(consumer), self.settings.commit_timeout_s)
        except TimeoutError:
            log.warning("not everything acknowledged could be committed; it will be delivered again")

    async def _commit_all(self, consumer: Any) -> None:
        # A commit under way may have begun before the last acknowledgement: Faust then answers False.
        for _ in range(3):
            if not consumer.uncommitted():
                return
            await consumer.commit()
