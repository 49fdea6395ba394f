"""Retry, bisect, dead letter: each failure class ends as design.md §5 says. Through the driver: no broker, no sleep."""

from collections.abc import Set

import pytest

from schemas.dead_letter import CUT_VALUE_BYTES
from streams.engine.batch import PlainRecord, RecordBatch
from streams.engine.driver import Driver
from streams.engine.outcomes import Handled, Poison, Refusal, Transient
from streams.engine.processing import Abandoned, Processed

TOPIC = "cdc.public.jobs"


class Recording:
    """A handler that fails as told and remembers what it accepted."""

    def __init__(self, *failures: Exception, poison: Set[bytes] = frozenset()) -> None:
        self.failures = list(failures)
        self.poison = poison
        self.accepted: list[bytes] = []
        self.calls = 0

    async def handle(self, batch: RecordBatch) -> Handled:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        if any(record.value in self.poison for record in batch.records):
            raise Poison("it does not parse", reason="not_json", source_identity="jobs#7")
        self.accepted += [record.value for record in batch.records]
        return Handled()


class Observed:
    def __init__(self) -> None:
        self.told: list[tuple] = []

    def consumed(self, *told):
        self.told.append(("consumed", *told))

    def retried(self, *told):
        self.told.append(("retried", *told))

    def refused(self, *told):
        self.told.append(("refused", *told))

    def committed(self, *told):
        self.told.append(("committed", *told))


async def test_a_handled_batch_is_acknowledged():
    role = Recording()
    driver = Driver(role.handle)
    assert await driver.feed(TOPIC, [b"a", b"b"]) == Processed(dead_letters=0)
    assert role.accepted == [b"a", b"b"]
    assert driver.committed(TOPIC) == 2
    assert driver.waits_s == []


async def test_a_transient_failure_gives_the_same_batch_again_after_growing_waits():
    role = Recording(Transient("down"), Transient("down"), Transient("down"))
    observed = Observed()
    driver = Driver(role.handle, observer=observed, random=lambda: 1.0)
    await driver.feed(TOPIC, [b"a", b"b"])
    assert driver.waits_s == [0.2, 0.4, 0.8]
    assert role.accepted == [b"a", b"b"]
    assert driver.committed(TOPIC) == 2
    assert [told[:3] for told in observed.told] == [
        ("retried", TOPIC, 1),
        ("retried", TOPIC, 2),
        ("retried", TOPIC, 3),
        ("consumed", TOPIC, 2),
    ]
    assert observed.told[-1][3] == "success"


async def test_a_wait_that_the_other_side_asked_for_is_kept():
    driver = Driver(Recording(Transient("busy", retry_after_s=17.0)).handle)
    await driver.feed(TOPIC, [b"a"])
    assert driver.waits_s == [17.0]


async def test_a_batch_given_up_in_a_back_off_is_not_acknowledged_and_comes_again():
    role = Recording(*[Transient("down")] * 3)
    driver = Driver(role.handle, give_up_after=3)
    assert await driver.feed(TOPIC, [b"a"]) == Abandoned()
    assert driver.committed(TOPIC) == 0
    again = [PlainRecord(TOPIC, 0, 0, 0, None, b"a")]
    assert await driver.feed_records(again) == Processed(dead_letters=0)
    assert driver.committed(TOPIC) == 1


@pytest.mark.parametrize("poison", [{b"3"}, {b"0"}, {b"9"}, {b"0", b"9"}, {b"4", b"5"}, {b"%d" % i for i in range(10)}])
async def test_poison_comes_down_to_its_records_and_the_rest_is_handled_in_order(poison):
    role = Recording(poison=poison)
    driver = Driver(role.handle, role="activity", version="1.2")
    values = [b"%d" % i for i in range(10)]
    await driver.feed(TOPIC, values)
    assert role.accepted == [value for value in values if value not in poison]
    assert [letter.value for letter in driver.dead_letters] == sorted(poison)
    assert driver.committed(TOPIC) == 10


async def test_a_poison_record_costs_logarithmically_many_attempts():
    role = Recording(poison={b"700"})
    await Driver(role.handle).feed(TOPIC, [b"%d" % i for i in range(1000)])
    assert role.calls <= 21


async def test_a_dead_letter_is_the_record_whole():
    driver = Driver(Recording(poison={b"bad"}).handle, role="activity", version="1.2")
    driver.now_ms = 1_750_000_000_000
    record = PlainRecord(TOPIC, 3, 41, 1_700_000_000_000, b"key", b"bad", (("bongsu.epoch", b"9-1"), ("empty", None)))
    await driver.feed_records([record])
    (letter,) = driver.dead_letters
    assert (letter.topic, letter.partition, letter.offset, letter.timestamp_ms) == (TOPIC, 3, 41, 1_700_000_000_000)
    assert (letter.key, letter.value, letter.value_bytes, letter.value_sha256) == (b"key", b"bad", 3, None)
    assert letter.headers == (("bongsu.epoch", b"9-1"), ("empty", None))
    assert (letter.reason, letter.error, letter.source_identity) == ("not_json", "it does not parse", "jobs#7")
    assert (letter.attempts, letter.first_failed_ms) == (1, 1_750_000_000_000)
    assert (letter.role, letter.version) == ("activity", "1.2")


async def test_attempts_count_every_time_the_record_was_tried():
    role = Recording(Transient("down"), Transient("down"), poison={b"bad"})
    driver = Driver(role.handle)
    await driver.feed(TOPIC, [b"ok", b"bad"])
    assert [letter.attempts for letter in driver.dead_letters] == [4]  # two transient, the pair, the record alone


async def test_an_oversize_value_is_cut_and_its_digest_kept():
    value = b"x" * 2_000_000
    driver = Driver(Recording(poison={value}).handle)
    await driver.feed(TOPIC, [value])
    (letter,) = driver.dead_letters
    assert len(letter.value) == CUT_VALUE_BYTES
    assert letter.value_bytes == 2_000_000
    assert len(letter.value_sha256) == 32


async def test_refusals_are_dead_lettered_before_the_offset_moves():
    async def refuse_all(batch: RecordBatch) -> Handled:
        return Handled(tuple(Refusal(record, "conflict", "other body", "id-1") for record in batch.records))

    driver = Driver(refuse_all)
    driver.letters.failures = [Transient("broker away"), RuntimeError("broken")]
    with pytest.raises(RuntimeError, match="broken"):
        await driver.feed(TOPIC, [b"a", b"b"])
    assert driver.committed(TOPIC) == 0
    assert len(driver.waits_s) == 1
    assert await driver.feed_records([PlainRecord(TOPIC, 0, i, 0, None, b"a") for i in range(2)]) == Processed(2)
    assert [letter.reason for letter in driver.dead_letters] == ["conflict", "conflict"]
    assert driver.committed(TOPIC) == 2


async def test_an_unknown_exception_leaves_the_offset_and_ends_the_worker():
    observed = Observed()
    driver = Driver(Recording(ZeroDivisionError("bug")).handle, observer=observed)
    with pytest.raises(ZeroDivisionError):
        await driver.feed(TOPIC, [b"a"])
    assert driver.committed(TOPIC) == 0
    assert driver.dead_letters == []
    assert observed.told[0][3] == "failure"


async def test_redelivered_records_are_trimmed_from_a_slice():
    role = Recording()
    driver = Driver(role.handle)
    await driver.feed(TOPIC, [b"0", b"1", b"2"])
    records = [PlainRecord(TOPIC, 0, i, 0, None, b"%d" % i) for i in range(1, 5)]
    await driver.feed_records(records)
    assert role.accepted == [b"0", b"1", b"2", b"3", b"4"]
    assert await driver.feed_records(records) is None
    assert (driver.delivered[-1].first_offset, driver.delivered[-1].next_offset) == (3, 5)


async def test_a_slice_beyond_the_next_offset_is_refused_by_the_driver():
    driver = Driver(Recording().handle)
    await driver.feed(TOPIC, [b"0"])
    with pytest.raises(ValueError, match="wants offset 1"):
        await driver.feed_records([PlainRecord(TOPIC, 0, 5, 0, None, b"5")])


async def test_after_a_rebalance_delivery_begins_at_the_commit():
    role = Recording()
    driver = Driver(role.handle)
    await driver.feed(TOPIC, [b"0", b"1"])
    driver.rebalance()
    await driver.feed_records([PlainRecord(TOPIC, 0, i, 0, None, b"%d" % i) for i in range(3)])
    assert role.accepted == [b"0", b"1", b"2"]
    assert [batch.generation for batch in driver.delivered] == [1, 2]
