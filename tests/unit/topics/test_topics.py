"""The registry is closed and consistent; partitions are Kafka's; a plan changes only what differs."""

import pytest

from schemas.avro import SCHEMA_NAMES
from topics.partitioning import murmur2, partition_for
from topics.plan import Configure, Conflict, Create, Ignored, Present, plan, sentence
from topics.registry import captured_tables, cdc_topic, dead_letter_topic, topics, topics_read_by

# Kafka's own vectors (UtilsTest.testMurmur2), signed there.
VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("data", "signed"), list(VECTORS.items()))
def test_murmur2_is_kafkas(data, signed):
    assert murmur2(data) == signed & 0xFFFFFFFF


def test_partitions_mask_the_sign_bit():
    assert partition_for(b"21", 4) == (-973932308 & 0x7FFFFFFF) % 4
    assert {partition_for(str(n).encode(), 4) for n in range(100)} == {0, 1, 2, 3}


def test_every_topic_has_one_writer_and_somebody_who_reads_it():
    for topic in topics().values():
        assert topic.writer, topic
        assert topic.readers, topic
        assert topic.writer not in topic.readers, f"{topic.name} is read by its own writer"
        assert topic.schema in ("cdc", "progress", *SCHEMA_NAMES)


def test_every_dead_letter_topic_exists_and_belongs_to_one_topic():
    for topic in topics().values():
        if topic.dead_letters:
            assert topics()[topic.dead_letters].schema == "dead-letter"
            assert topic.dead_letters == dead_letter_topic(topic.name)
    assert sum(topic.schema == "dead-letter" for topic in topics().values()) == sum(
        topic.dead_letters is not None for topic in topics().values()
    )


def test_cdc_topics_are_debeziums_names_and_never_compacted():
    for table, topic in captured_tables().items():
        assert topic.name == cdc_topic(table) == f"cdc.public.{table}"
        assert not topic.compacted


def test_windows_reads_tables_with_equal_partition_counts():
    changes = [topic for topic in topics_read_by("windows") if topic.schema == "cdc"]
    assert len({topic.partitions for topic in changes}) == 1


def wanted():
    return [topics()["alerts"]]


def test_a_missing_topic_is_created_as_the_registry_says():
    (step,) = plan(wanted(), {}, replication_factor=3, embedded=False)
    assert step == Create("alerts", 1, 3, topics()["alerts"].config())
    assert "cleanup.policy=compact" in sentence(step)


def test_nothing_to_do_is_an_empty_plan():
    there = {"alerts": Present(1, {**topics()["alerts"].config(), "segment.bytes": "7"})}
    assert plan(wanted(), there, replication_factor=3, embedded=False) == []


def test_settings_that_differ_are_set():
    there = {"alerts": Present(1, {**topics()["alerts"].config(), "cleanup.policy": "delete"})}
    (step,) = plan(wanted(), there, replication_factor=3, embedded=False)
    assert step == Configure("alerts", {"cleanup.policy": ("delete", "compact")})


def test_another_partition_count_is_a_conflict_and_never_a_change():
    (step,) = plan(wanted(), {"alerts": Present(2, topics()["alerts"].config())}, replication_factor=3, embedded=False)
    assert isinstance(step, Conflict)
    assert "epoch" in sentence(step)


def test_the_embedded_brokers_plan_says_what_it_ignores():
    (step,) = plan(wanted(), {"alerts": Present(1, None)}, replication_factor=1, embedded=True)
    assert isinstance(step, Ignored)
    assert "cleanup.policy=compact" in sentence(step)
