"""Faust's transport with a consumer that yields one message per fetched partition slice of the input topics.

Changelogs and all other topics stay stock. What the overrides shut (reference/stream-engine.md §3 and §4.1):
Faust's read-offset filter and gap list are off for sliced topics; `ack`, which Faust also calls in a `finally` after an
exception, moves nothing; commits come from `positions`; a commit waits until every changelog record is acknowledged.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import IllegalStateError
from faust.transport.conductor import Conductor
from faust.transport.drivers import aiokafka as driver
from faust.types import ConsumerMessage
from mode import Service

from streams.engine.credit import SliceCredit
from streams.engine.fetching import FAUST_LOG, FetchedSlice, Seek, SliceThread
from streams.engine.positions import Partition, Positions

log = logging.getLogger(__name__)

IDLE_WAIT_S = 0.05
"""Longest wait for room when some partitions have none: fetching from the others must not be held up by it."""


class _ReadOffsets(dict[Any, int | None]):
    """Faust's read offsets, blind for sliced topics, so that re-fetched slices are not dropped as read already."""

    def __init__(self, sliced_topics: frozenset[str]) -> None:
        super().__init__()
        self._sliced_topics = sliced_topics

    def __getitem__(self, tp: Any) -> int | None:
        return None if tp.topic in self._sliced_topics else self.get(tp)


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class SliceEvent:
    """The value of one Faust event: a slice on its way to its handler. Equal only to itself, for `SliceCredit`."""

    fetched: FetchedSlice


class SliceConsumer(driver.Consumer):
    """The consumer of a worker: Faust's, but the owner of positions for its sliced topics."""

    logger = FAUST_LOG
    _thread: SliceThread

    def __init__(self, transport: Any, *args: Any, **kwargs: Any) -> None:
        self.slices = transport.app.engine
        self.sliced_topics: frozenset[str] = self.slices.topics
        self.positions = Positions()
        self.credit = SliceCredit()
        self._suspects: dict[Partition, int | None] = {}
        super().__init__(transport, *args, **kwargs)
        self._read_offset = _ReadOffsets(self.sliced_topics)

    def _new_consumer_thread(self) -> SliceThread:
        thread = SliceThread(self, loop=self.loop, beacon=self.beacon)
        thread.sliced_topics = self.sliced_topics
        thread.fetch_max_wait_ms = self.slices.settings.fetch_max_wait_ms
        return thread

    # -- fetching ------------------------------------------------------------------------------------------------

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[Any, Any]]:  # noqa: ASYNC109 - Faust's signature
        """Yield one message per slice of a sliced topic, and one per record of any other."""
        fetched = await self._fetch(timeout)
        generation = self.app.consumer_generation_id
        for tp, content in fetched.items():
            if isinstance(content, SliceEvent):
                if self._still(generation):
                    yield tp, self._slice_message(tp, content, generation)
                continue
            for record in content:
                if not self._still(generation):
                    break
                yield tp, self._to_message(tp, record)

    def _still(self, generation: int) -> bool:
        return bool(self.flow_active and not self.should_stop and self.app.consumer_generation_id == generation)

    async def _fetch(self, timeout_s: float) -> Mapping[Any, Any]:
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        active = self._get_active_partitions()
        eligible = {tp for tp in active if self.credit.has_room(_where(tp))}
        if not active:
            await self.sleep(0.1)
        elif not eligible:
            await self.credit.wait_returned(timeout_s)
        elif len(eligible) < len(active):
            return await self._fetch_around_full(eligible)
        else:
            return self._usable(await self._getmany(active_partitions=eligible, timeout=timeout_s))
        return {}

    async def _fetch_around_full(self, eligible: set[Any]) -> Mapping[Any, Any]:
        fetched = self._usable(await self._getmany(active_partitions=eligible, timeout=0))
        if not fetched:
            await self.credit.wait_returned(IDLE_WAIT_S)
        return fetched

    def _usable(self, fetched: Mapping[Any, Any] | None) -> Mapping[Any, Any]:
        if not fetched or not self.flow_active or self.should_stop:
            # Flow stopped while the fetch was under way. Dropping is safe: sliced topics are sought to their positions
            # after the rebalance, changelogs to their offsets by the recovery that follows it.
            return {}
        return {tp: self._counted(tp, content) for tp, content in fetched.items()}

    def _counted(self, tp: Any, content: Any) -> Any:
        if not isinstance(content, FetchedSlice):
            return content
        event = SliceEvent(content)
        self.credit.take(_where(tp), event)
        return event

    def _slice_message(self, tp: Any, event: SliceEvent, generation: int) -> Any:
        return ConsumerMessage(
            topic=tp.topic,
            partition=tp.partition,
            offset=event.fetched.span.next_offset - 1,
            timestamp=event.fetched.records[-1].timestamp / 1000.0,
            timestamp_type=0,
            headers=None,
            key=None,
            value=event,
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=tp,
            generation_id=generation,
        )

    # -- positions -----------------------------------------------------------------------------------------------

    def ack(self, message: Any) -> bool:
        """Faust's own acknowledgement: of a sliced topic it only says that the message has left Faust."""
        if message.topic not in self.sliced_topics:
            return bool(super().ack(message))
        message.acked = True
        self.credit.give_back(_where(message), message.value)
        self._unacked_messages.discard(message)
        return True

    async def perform_seek(self) -> None:
        """Seek to the committed offsets, as recovery asks at its end; sliced topics by the ledger."""
        await self._seek_stock()
        owned = self.positions.owned()
        seeks = {where: Seek(self.positions.wanted(where), self.positions.new_token(where)) for where in owned}
        sought = await self._thread.seek_slices(seeks)
        for where, target in sought.items():
            self.positions.start(where, target.offset, target.committed)

    async def behind(self) -> dict[Partition, int]:
        """Records between reader and log end of the owned partitions; raises as `SliceThread.behind`."""
        return await self._thread.behind(sorted(self.positions.owned()))

    async def _seek_stock(self) -> None:
        stock = [tp for tp in self.assignment() if tp.topic not in self.sliced_topics]
        if stock:
            committed = await self._thread.seek_stock_to_committed(stock)
            known = {tp: offset for tp, offset in committed.items() if offset is not None}
            self._read_offset.update({tp: known.get(tp) for tp in committed})
            self._committed_offset.update({tp: offset or None for tp, offset in known.items()})

    async def seek_back(self, where: Partition, offset: int, token: int) -> None:
        """Fetch the partition again from `offset`, unless it is being given up."""
        try:
            await self._thread.seek_slices({where: Seek(offset, token)})
        except IllegalStateError:
            log.info("%s-%d is no longer assigned, not sought", *where)

    async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:
        if tp.topic not in self.sliced_topics:
            await super()._add_gap(tp, offset_from, offset_to)

    # -- commits -------------------------------------------------------------------------------------------------

    def _filter_committable_offsets(self, tps: Any) -> dict[Any, int]:
        offsets: dict[Any, int] = super()._filter_committable_offsets(
            [tp for tp in tps if tp.topic not in self.sliced_topics]
        )
        for where in self.positions.owned():
            offset = self.positions.committable(where)
            if offset is not None:
                offsets[driver.TP(*where)] = offset
        return offsets

    async def _commit_offsets(self, offsets: Mapping[Any, int], start_new_transaction: bool = True) -> bool:
        taken = bool(await super()._commit_offsets(offsets, start_new_transaction=start_new_transaction))
        for tp, offset in offsets.items() if taken else ():
            if tp.topic in self.sliced_topics:
                self.positions.commit_done(_where(tp), offset)
                self.slices.observer.committed(tp.topic, tp.partition, offset)
        return taken

    def uncommitted(self) -> bool:
        """Whether something acknowledged is not committed yet."""
        return any(self.positions.committable(where) is not None for where in self.positions.owned())

    # -- ownership -----------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Finish the slices in hand and commit them, then let go of everything (aiokafka rebalances eagerly)."""
        await self.slices.hand_over(self)
        self.positions.give_up(self.positions.owned())
        self.credit.reset()
        self._thread.forget()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[Any], generation_id: int = 0) -> None:
        """Begin the ownerships; nothing is delivered before `perform_seek` has told where they begin."""
        self.positions.give_up(self.positions.owned())
        self.credit.reset()
        self.positions.own(_where(tp) for tp in assigned if tp.topic in self.sliced_topics)
        self.slices.taken_over()
        await super().on_partitions_assigned(assigned, generation_id)

    @Service.task
    async def _position_audit(self) -> None:
        async for _ in self.itertimer(1.0, name="positions"):
            await self._thread.check_group()
            if self.flow_active and not self.app.rebalancing:
                await self._audit_positions()

    async def _audit_positions(self) -> None:
        """Find a reader that stands elsewhere than the ledger wants, with nothing under way: a slice was lost.

        Twice in a row, a second apart: a slice may be between the threads for a moment. Fetching again does no harm.
        """
        suspects: dict[Partition, int | None] = {}
        for where in self.positions.owned():
            wanted = self.positions.wanted(where)
            astray = wanted is None or wanted != self._thread.cursors.get(where)
            if astray and self.credit.under_way(where) == 0:
                suspects[where] = wanted
        confirmed = [where for where, wanted in suspects.items() if self._suspects.get(where, -1) == wanted]
        self._suspects = suspects
        if confirmed:
            log.warning("fetching %s again: reader and ledger disagree", confirmed)
            await self.perform_seek()


class SliceProducer(driver.Producer):
    """Faust's producer, with a `flush` that means it.

    Stock `flush` returns after 0.1 s without progress and forgets the message just taken from the buffer, so an offset
    can be committed before the changelog record it belongs to is durable.
    """

    logger = FAUST_LOG

    def __post_init__(self) -> None:
        """Begin with nothing under way."""
        super().__post_init__()
        self._under_way: set[asyncio.Future[Any]] = set()
        self._failure: BaseException | None = None

    def send_soon(self, fut: Any) -> None:
        """Produce the message soon, and remember it until the broker has answered."""
        self._under_way.add(fut)
        fut.add_done_callback(self._settled)
        super().send_soon(fut)

    def _settled(self, fut: "asyncio.Future[Any]") -> None:
        self._under_way.discard(fut)
        if not fut.cancelled() and fut.exception() is not None:
            self._failure = fut.exception()

    async def flush(self) -> None:
        """Return once everything sent before the call is acknowledged by the broker.

        Raises:
            ChangelogLost: a message could not be produced: the state is ahead of its changelog, no commit may follow.
        """
        waiting = set(self._under_way)
        await super().flush()
        if waiting:
            await asyncio.wait(waiting)
        if self._failure is not None:
            raise ChangelogLost(f"a changelog record was not taken by Kafka: {self._failure!r}")


class ChangelogLost(Exception):
    """A Table's change could not be produced: the process must end, so that recovery and redelivery repair it."""


class SliceConductor(Conductor):
    """Faust's conductor without its Cython handler, whose loss of records is known (trap 6)."""

    logger = FAUST_LOG

    def _build_handler(self, tp: Any, channels: Any) -> Any:
        return self._compiler.build(self, tp, channels)


class SliceTransport(driver.Transport):
    """The transport of a worker."""

    Consumer = SliceConsumer
    Producer = SliceProducer
    Conductor = SliceConductor


def _where(tp: Any) -> Partition:
    return Partition(tp.topic, tp.partition)
