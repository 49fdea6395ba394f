"""The overrides, each against Faust's own code with the broker left out."""

import asyncio
from types import SimpleNamespace

import pytest
from faust.types import TP

from streams.engine.app import build_app
from streams.engine.batch import PlainRecord
from streams.engine.fetching import FetchedSlice
from streams.engine.outcomes import Handled
from streams.engine.positions import Partition, Span
from streams.engine.settings import EngineSettings
from streams.engine.transport import ChangelogLost, SliceEvent, SliceProducer

TOPIC, CHANGELOG = "in", "group-panes-changelog"
WHERE = Partition(TOPIC, 0)


class Nowhere:
    async def write(self, letters):
        raise AssertionError(letters)


async def handle(batch):
    return Handled()


@pytest.fixture
async def app():
    settings = EngineSettings("test", "group", "127.0.0.1:1", "0")
    found = build_app(
        settings,
        inputs={TOPIC: handle},
        dead_letters=Nowhere(),
        tables=lambda app: app.Table("panes", partitions=1),
    )
    # Faust binds its services to the loop of the test.
    found.loop = asyncio.get_running_loop()
    yield found
    thread = found.consumer._thread
    thread.thread_loop.close()


def fetched(first: int, end: int, token: int) -> FetchedSlice:
    records = [PlainRecord(TOPIC, 0, offset, 1000 * offset, None, b"") for offset in range(first, end)]
    return FetchedSlice(records, Span(first, end, token))


def owning(app) -> int:
    consumer = app.consumer
    consumer.positions.own([WHERE])
    token = consumer.positions.new_token(WHERE)
    consumer.positions.start(WHERE, 0, None)
    consumer.positions.commit_done(WHERE, 0)
    return token


async def fetch_once(app, content) -> list:
    consumer = app.consumer
    app.consumer_generation_id = 7
    consumer.flow_active = True
    consumer._active_partitions = {TP(*tp) for tp in content}

    async def getmany(active_partitions, timeout):
        return {tp: found for tp, found in content.items() if tp in active_partitions}

    consumer._getmany = getmany
    return [(tp, message) async for tp, message in consumer.getmany(0.01)]


async def test_a_sliced_topic_gives_one_message_a_slice_and_a_changelog_one_a_record(app):
    token = owning(app)
    record = SimpleNamespace(
        topic=CHANGELOG, partition=0, offset=5, timestamp=1, timestamp_type=0, headers=(), key=b"k", value=b"v",
        checksum=None, serialized_key_size=1, serialized_value_size=1,
    )  # fmt: skip
    messages = await fetch_once(app, {TP(TOPIC, 0): fetched(0, 500, token), TP(CHANGELOG, 0): [record, record]})
    assert [(tp.topic, message.offset, message.generation_id) for tp, message in messages] == [
        (TOPIC, 499, 7),
        (CHANGELOG, 5, 7),
        (CHANGELOG, 5, 7),
    ]
    assert len(messages[0][1].value.fetched.records) == 500


async def test_a_partition_with_two_slices_under_way_is_not_fetched_from(app):
    token = owning(app)
    content = {TP(TOPIC, 0): fetched(0, 5, token)}
    held = [await fetch_once(app, content), await fetch_once(app, content)]
    assert await fetch_once(app, content) == []
    held.pop()
    assert len(await fetch_once(app, content)) == 1


async def test_fausts_acknowledgement_moves_no_offset_but_makes_room(app):
    token = owning(app)
    ((_, message),) = await fetch_once(app, {TP(TOPIC, 0): fetched(0, 500, token)})
    message.incref(1)
    message.ack(app.consumer)
    assert message.acked
    assert app.consumer.positions.committable(WHERE) is None
    assert app.consumer._acked == {}
    assert app.consumer.credit.under_way(WHERE) == 0


async def test_commits_of_sliced_topics_come_from_the_ledger_alone(app):
    token = owning(app)
    decision = app.consumer.positions.deliver(WHERE, Span(0, 500, token))
    app.consumer._acked[TP(TOPIC, 0)] = [9999]
    assert app.consumer._filter_committable_offsets([TP(TOPIC, 0)]) == {}
    app.consumer.positions.acknowledge(decision.ticket)
    assert app.consumer._filter_committable_offsets([]) == {TP(TOPIC, 0): 500}


async def test_the_read_offset_filter_is_blind_for_sliced_topics_only(app):
    offsets = app.consumer._read_offset
    offsets[TP(TOPIC, 0)] = 900
    offsets[TP(CHANGELOG, 0)] = 900
    assert offsets[TP(TOPIC, 0)] is None
    assert offsets[TP(CHANGELOG, 0)] == 900
    assert offsets[TP(CHANGELOG, 1)] is None


async def test_no_gap_is_kept_for_a_sliced_topic(app):
    await app.consumer._add_gap(TP(TOPIC, 0), 0, 100)
    assert TP(TOPIC, 0) not in app.consumer._gap
    await app.consumer._add_gap(TP(CHANGELOG, 0), 0, 100)
    assert len(app.consumer._gap[TP(CHANGELOG, 0)]) == 1


class Sought:
    """A consumer thread that answers seeks."""

    def __init__(self, cursors: dict) -> None:
        self.cursors = cursors
        self.seeks: list[dict] = []

    def assignment(self):
        return set()

    async def seek_slices(self, seeks):
        self.seeks.append(seeks)
        return {}


async def test_a_reader_that_stands_elsewhere_is_sought_back_at_the_second_look(app):
    owning(app)
    app.consumer._thread, real = Sought({WHERE: 700}), app.consumer._thread
    await app.consumer._audit_positions()
    assert app.consumer._thread.seeks == []
    await app.consumer._audit_positions()
    assert [seek[WHERE].offset for seek in app.consumer._thread.seeks] == [0]
    app.consumer._thread = real


async def test_a_slice_under_way_explains_where_the_reader_stands(app):
    owning(app)
    app.consumer._thread, real = Sought({WHERE: 700}), app.consumer._thread
    under_way = SliceEvent(fetched(0, 700, 0))
    app.consumer.credit.take(WHERE, under_way)
    for _ in range(3):
        await app.consumer._audit_positions()
    assert app.consumer._thread.seeks == []
    app.consumer._thread = real


@pytest.fixture
def producer(monkeypatch):
    from streams.engine import transport

    async def flush(self):
        return None  # stock flush, which forgets what it has just taken from its buffer

    monkeypatch.setattr(transport.driver.Producer, "flush", flush)
    monkeypatch.setattr(transport.driver.Producer, "send_soon", lambda self, fut: None)
    made = SliceProducer.__new__(SliceProducer)
    made._under_way, made._failure = set(), None
    return made


async def test_flush_waits_for_every_changelog_record_sent_before_it(producer):
    sent = asyncio.get_running_loop().create_future()
    producer.send_soon(sent)
    flushing = asyncio.create_task(producer.flush())
    done, _ = await asyncio.wait([flushing], timeout=0.05)
    assert not done
    sent.set_result(None)
    await flushing


async def test_a_changelog_record_that_was_not_taken_forbids_every_later_commit(producer):
    sent = asyncio.get_running_loop().create_future()
    producer.send_soon(sent)
    sent.set_exception(OSError("not enough replicas"))
    await asyncio.sleep(0)
    for _ in range(2):
        with pytest.raises(ChangelogLost, match="not enough replicas"):
            await producer.flush()
