"""What only a real Kafka shows: holes in the log, records gone before they were read, tables under SIGKILL."""

import time
from collections.abc import Callable

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.integration.engine.harness import Lab
from tests.integration.engine.kill_loop import KillLoop

pytestmark = [pytest.mark.integration, pytest.mark.real]


def transact(lab: Lab, values: list[bytes], *, before_end: Callable[[], None] = lambda: None) -> None:
    producer = Producer({"bootstrap.servers": lab.bootstrap_servers, "transactional.id": f"holes-{lab.topic}"})
    producer.init_transactions(20)
    producer.begin_transaction()
    for value in values:
        producer.produce(lab.topic, value=value, partition=0)
    producer.flush(20)
    before_end()
    producer.commit_transaction(20)


def test_holes_left_by_transactions_are_no_gaps(kafka_lab: Lab):
    lab = kafka_lab
    for number in range(5):
        transact(lab, [b"%d" % number] * 10)  # each leaves a control record behind its ten
    lab.produce([b"last"])
    worker = lab.start(slice_records=7)
    lab.wait_committed(56)
    assert lab.done() == [offset for offset in range(56) if offset == 55 or offset % 11 != 10]
    assert "wanted" not in lab.log()
    assert lab.terminate(worker) == 0


def test_a_control_record_at_the_end_of_the_log_is_no_lag(kafka_lab: Lab):
    lab = kafka_lab
    worker = lab.start(watchdog_s=2.0)
    transact(lab, [b"only"], before_end=lambda: lab.wait_committed(1))
    time.sleep(5)
    assert lab.committed() == 1
    assert worker.poll() is None, lab.log()
    assert lab.terminate(worker) == 0


def test_records_deleted_before_they_were_read_are_told_and_passed(kafka_lab: Lab):
    lab = kafka_lab
    lab.produce([b"old"] * 100)
    worker = lab.start()
    lab.wait_committed(100)
    assert lab.terminate(worker) == 0
    lab.produce([b"missed"] * 100)
    admin = AdminClient({"bootstrap.servers": lab.bootstrap_servers})
    for future in admin.delete_records([TopicPartition(lab.topic, 0, 150)]).values():
        future.result(20)
    lab.start()
    lab.wait_committed(200)
    assert lab.done() == [*range(100), *range(150, 200)]
    assert "no records at offsets 100 to 149" in lab.log(1)


def test_tables_equal_a_recount_under_sigkill(engine_kafka: str):
    report = KillLoop(engine_kafka, seed=3, kills=3, records=120_000).run(limit_s=150)
    assert report.finished
    assert report.kills == 3
    assert report.mismatches == []
