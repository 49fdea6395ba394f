"""The follower against a broker that misbehaves; no clock is waited for."""

import asyncio

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from streams.windows.follower import Follower

TOPIC = "g-panes-changelog"


class Entry:
    def __init__(self, offset, key, value):
        self.offset, self.key, self.value = offset, key, value


class Log:
    """A topic of two partitions, and the clients opened on it."""

    def __init__(self):
        self.partitions = {TopicPartition(TOPIC, number): [] for number in (0, 1)}
        self.clients = []
        self.refusals = 0

    def append(self, partition, key, value, skip=0):
        entries = self.partitions[TopicPartition(TOPIC, partition)]
        offset = entries[-1].offset + 1 if entries else 0
        entries.append(Entry(offset + skip, key, value))

    async def open(self):
        if self.refusals:
            self.refusals -= 1
            raise KafkaConnectionError("nobody listens")
        client = Client(self)
        self.clients.append(client)
        return client


class Client:
    def __init__(self, log):
        self.log, self.places, self.stopped, self.broken, self.mute = log, {}, False, None, False

    def assign(self, partitions):
        self.places = dict.fromkeys(partitions, 0)

    def seek(self, partition, offset):
        self.places[partition] = offset

    async def getmany(self, *, timeout_ms, max_records):
        await asyncio.sleep(0)
        if self.broken:
            raise self.broken
        found = {}
        for partition, place in ({} if self.mute else self.places).items():
            entries = [entry for entry in self.log.partitions[partition] if entry.offset >= place][:2]
            if entries:
                found[partition] = entries
                self.places[partition] = entries[-1].offset + 1
        return found

    async def position(self, partition):
        return self.places[partition]

    async def end_offsets(self, partitions):
        ends = {
            partition: entries[-1].offset + 1 if entries else 0 for partition, entries in self.log.partitions.items()
        }
        return {partition: ends[partition] for partition in partitions}

    async def beginning_offsets(self, partitions):
        return dict.fromkeys(partitions, 0)

    async def stop(self):
        self.stopped = True


class Sink:
    def __init__(self):
        self.applied, self.cleared, self.checks = [], 0, 0

    def apply(self, key, value):
        self.applied.append((key, value))

    def clear(self):
        self.cleared += 1
        self.applied.clear()

    async def check(self, consumer):
        self.checks += 1


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def sink():
    return Sink()


@pytest.fixture
def follower(log, sink):
    return Follower(TOPIC, 2, log.open, sink.apply, sink.clear, check=sink.check, retry_s=0)


async def until(condition):
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never happened")


async def following(follower, *conditions, between=()):
    task = asyncio.create_task(follower.run())
    try:
        for place, condition in enumerate(conditions):
            await until(lambda condition=condition: condition() or task.done())
            if task.done():
                task.result()
            if place < len(between):
                between[place]()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_everything_is_applied_in_order_and_tombstones_too(log, sink, follower):
    for number in range(5):
        log.append(0, b"k%d" % number, b"v")
    log.append(0, b"k0", None)
    await following(follower, lambda: len(sink.applied) == 6)
    assert sink.applied[-1] == (b"k0", None)
    assert sink.checks == 1
    assert log.clients[0].stopped


async def test_the_present_is_what_the_topic_held_when_asked(log, sink, follower):
    for number in range(7):
        log.append(number % 2, b"k", b"%d" % number)
    question = follower.ask_for_present()
    assert not follower.has_answered(question)
    await following(follower, lambda: follower.has_answered(question))
    assert len(sink.applied) == 7
    assert not follower.has_answered(follower.ask_for_present()), "each question is answered anew"


async def test_an_empty_topic_is_read_at_once(follower):
    question = follower.ask_for_present()
    await following(follower, lambda: follower.has_answered(question))


async def test_holes_of_compaction_do_not_hold_up(log, follower):
    log.append(0, b"k", b"v", skip=50)
    question = follower.ask_for_present()
    await following(follower, lambda: follower.has_answered(question))


async def test_a_client_that_breaks_is_replaced_without_reading_twice(log, sink, follower):
    log.append(0, b"a", b"1")

    def break_it():
        log.clients[-1].broken = KafkaConnectionError("gone")
        log.refusals = 2
        log.append(0, b"b", b"2")

    await following(follower, lambda: len(sink.applied) == 1, lambda: len(sink.applied) == 2, between=(break_it,))
    assert sink.applied == [(b"a", b"1"), (b"b", b"2")]
    assert len(log.clients) == 2
    assert all(client.stopped for client in log.clients)


async def test_a_client_that_goes_mute_is_replaced(log, sink, follower, monkeypatch):
    monkeypatch.setattr("streams.windows.follower._CHECK_EVERY_S", 0.0)
    log.append(0, b"a", b"1")

    def mute_it():
        log.clients[-1].mute = True
        log.append(0, b"b", b"2")

    await following(follower, lambda: len(sink.applied) == 1, lambda: len(sink.applied) == 2, between=(mute_it,))
    assert len(log.clients) == 2


async def test_a_topic_made_anew_is_read_from_its_beginning(log, sink, follower):
    for number in range(4):
        log.append(0, b"old", b"%d" % number)

    def make_anew():
        log.partitions[TopicPartition(TOPIC, 0)] = []
        log.append(0, b"new", b"1")
        log.clients[-1].broken = KafkaConnectionError("gone")

    await following(
        follower, lambda: len(sink.applied) == 4, lambda: (b"new", b"1") in sink.applied, between=(make_anew,)
    )
    assert sink.cleared == 1
    assert sink.applied == [(b"new", b"1")]


async def test_state_that_cannot_be_read_ends_the_follower(log):
    def refuse(key, value):
        raise ValueError("a newer release wrote this")

    log.append(0, b"k", b"v")
    with pytest.raises(ValueError, match="newer release"):
        await Follower(TOPIC, 2, log.open, refuse, dict, retry_s=0).run()
    assert log.clients[0].stopped
