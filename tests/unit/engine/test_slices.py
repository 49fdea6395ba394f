"""The agents' shell: what is acknowledged, what a hand-over waits for, what ends the worker."""

import asyncio
from types import SimpleNamespace

import pytest

from streams.engine.batch import PlainRecord
from streams.engine.credit import SliceCredit
from streams.engine.fetching import FetchedSlice
from streams.engine.observer import SilentObserver
from streams.engine.outcomes import Handled, Transient
from streams.engine.positions import Partition, Positions, Span
from streams.engine.settings import EngineSettings
from streams.engine.slices import SliceEngine
from streams.engine.transport import SliceEvent

TOPIC = "in"
WHERE = Partition(TOPIC, 0)


class Nowhere:
    async def write(self, letters):
        raise AssertionError(letters)


class FakeConsumer:
    """Positions and commits of a consumer, without Faust."""

    def __init__(self) -> None:
        self.positions = Positions()
        self.positions.own([WHERE])
        self.token = self.positions.new_token(WHERE)
        self.positions.start(WHERE, 0, None)
        self.credit = SliceCredit()
        self.sought: list[tuple] = []
        self.commits: list[int] = []
        self.flowing = True
        self.app = SimpleNamespace(flow_control=SimpleNamespace(suspend=lambda: None, clear=lambda: None))

    def stop_flow(self):
        self.flowing = False

    def uncommitted(self):
        return self.positions.committable(WHERE) is not None

    async def commit(self):
        offset = self.positions.committable(WHERE)
        self.commits.append(offset)
        self.positions.commit_done(WHERE, offset)

    async def seek_back(self, *target):
        self.sought.append(target)


class FakeEvent:
    """A Faust event; counts how often Faust was told that it is done with it."""

    def __init__(self, consumer: FakeConsumer, first: int, end: int) -> None:
        records = [PlainRecord(TOPIC, 0, offset, 0, None, b"") for offset in range(first, end)]
        self.value = SliceEvent(FetchedSlice(records, Span(first, end, consumer.token)))
        self.message = SimpleNamespace(topic=TOPIC, partition=0, generation_id=1)
        self.acks = 0

    def ack(self):
        self.acks += 1


def engine_of(handler, **settings) -> SliceEngine:
    return SliceEngine(
        EngineSettings("test", "group", "nowhere:1", "0", **settings),
        {TOPIC: handler},
        Nowhere(),
        observer=SilentObserver(),
        now_ms=lambda: 0,
        monotonic_s=lambda: 0.0,
        random=lambda: 0.0,
    )


async def accept(batch):
    return Handled()


async def test_a_handled_slice_is_acknowledged_and_leaves_faust():
    consumer = FakeConsumer()
    event = FakeEvent(consumer, 0, 10)
    await engine_of(accept).consume(event, consumer)
    assert consumer.positions.acknowledged(WHERE) == 10
    assert event.acks == 1


async def test_after_an_unknown_exception_nothing_is_acknowledged_or_handed_over():
    consumer = FakeConsumer()
    calls = []

    async def broken(batch):
        calls.append(batch)
        raise ZeroDivisionError

    engine = engine_of(broken)
    stops = []
    engine.on_failure = lambda: stops.append(1)
    for first in (0, 10):
        agent = asyncio.create_task(engine.consume(FakeEvent(consumer, first, first + 10), consumer))
        done, _ = await asyncio.wait([agent], timeout=0.1)
        assert not done, "the agent went on after a failure"
        agent.cancel()
    assert len(calls) == 1
    assert stops == [1]
    assert isinstance(engine.failure, ZeroDivisionError)
    assert consumer.positions.acknowledged(WHERE) == 0


async def test_a_handler_that_cancels_itself_is_a_failure():
    consumer = FakeConsumer()

    async def cancels(batch):
        raise asyncio.CancelledError

    engine = engine_of(cancels)
    agent = asyncio.create_task(engine.consume(FakeEvent(consumer, 0, 10), consumer))
    await asyncio.wait([agent], timeout=0.1)
    agent.cancel()
    assert isinstance(engine.failure, RuntimeError)
    assert consumer.positions.acknowledged(WHERE) == 0


async def test_a_slice_out_of_order_is_sought_back_to():
    consumer = FakeConsumer()
    await engine_of(accept).consume(FakeEvent(consumer, 5, 10), consumer)
    ((where, offset, token),) = consumer.sought
    assert (where, offset) == (WHERE, 0)
    assert token != consumer.token
    assert consumer.positions.acknowledged(WHERE) == 0


async def test_a_hand_over_finishes_the_slice_in_hand_and_commits_it():
    consumer = FakeConsumer()
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow(batch):
        begun.set()
        await may_end.wait()
        return Handled()

    engine = engine_of(slow)
    agent = asyncio.create_task(engine.consume(FakeEvent(consumer, 0, 10), consumer))
    await begun.wait()
    handing_over = asyncio.create_task(engine.hand_over(consumer))
    await asyncio.sleep(0)
    assert not consumer.flowing
    may_end.set()
    await handing_over
    await agent
    assert consumer.commits == [10]


async def test_nothing_new_is_handed_over_until_partitions_are_taken_over_again():
    consumer = FakeConsumer()
    engine = engine_of(accept)
    await engine.finish_in_hand()
    await engine.consume(FakeEvent(consumer, 0, 10), consumer)
    assert consumer.positions.acknowledged(WHERE) == 0
    engine.taken_over()
    await engine.consume(FakeEvent(consumer, 0, 10), consumer)
    assert consumer.positions.acknowledged(WHERE) == 10


async def test_a_hand_over_ends_a_back_off_at_once():
    consumer = FakeConsumer()

    async def down(batch):
        raise Transient("down", retry_after_s=3600)

    engine = engine_of(down)
    agent = asyncio.create_task(engine.consume(FakeEvent(consumer, 0, 10), consumer))
    while not engine.backing_off:
        await asyncio.sleep(0)
    await asyncio.wait_for(engine.hand_over(consumer), 1)
    await agent
    assert engine.failure is None
    assert consumer.positions.acknowledged(WHERE) == 0


async def test_a_handler_that_does_not_end_is_cut_short_without_acknowledging():
    consumer = FakeConsumer()
    cut = []
    begun = asyncio.Event()

    async def stuck(batch):
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cut.append(batch)
            raise

    engine = engine_of(stuck, finish_in_hand_s=0.01)
    agent = asyncio.create_task(engine.consume(FakeEvent(consumer, 0, 10), consumer))
    await begun.wait()
    await engine.finish_in_hand()
    await agent
    assert len(cut) == 1
    assert engine.failure is None
    assert consumer.positions.acknowledged(WHERE) == 0


async def test_a_commit_that_does_not_come_back_is_left():
    consumer = FakeConsumer()

    async def commit():
        await asyncio.Event().wait()

    consumer.commit = commit
    engine = engine_of(accept, commit_timeout_s=0.01)
    await engine.consume(FakeEvent(consumer, 0, 10), consumer)
    await asyncio.wait_for(engine.hand_over(consumer), 1)


async def test_faust_tables_see_the_event_in_hand():
    from contextvars import ContextVar

    current = ContextVar("current", default=None)
    seen = []

    async def handler(batch):
        seen.append(current.get())
        return Handled()

    consumer = FakeConsumer()
    current.set("the stream's event")
    await engine_of(handler).consume(FakeEvent(consumer, 0, 1), consumer)
    assert seen == ["the stream's event"]


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("y")])
async def test_only_the_first_failure_asks_for_the_stop(error):
    engine = engine_of(accept)
    stops = []
    engine.on_failure = lambda: stops.append(1)
    engine.fail(error, "here")
    engine.fail(ValueError("later"), "there")
    assert engine.failure is error
    assert stops == [1]
