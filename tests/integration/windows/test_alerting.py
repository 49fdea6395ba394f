"""Changes and progress in, alerts out, through real workers on the embedded broker; event time is the test's own."""

import json
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from devstack.broker import start_broker
from schemas.change import EPOCH_HEADER
from schemas.progress import Progress, encode_progress
from streams.alerts.rules import shipped_rules
from streams.windows.merge import View
from streams.windows.signals import Series
from streams.windows.tables import ALERTS_TABLE, PANES_TABLE, changelog_topic
from tests.integration.windows.worker import CDC_PARTITIONS, CODEC, INPUTS
from tests.unit.windows.changes import push_log
from topics.registry import ALERTS, PROGRESS

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
PUSH_LOGS = INPUTS[0]
TIME_SCALE = 60
LIMIT_S = 90
FREEZE_S = 8
"""Longer than the workers' session time-out: the thawed broker has forgotten them."""


class Cluster:
    """A broker, the workers on it, and the test's own relay."""

    def __init__(self, run_dir):
        self.group = f"windows-{uuid.uuid4().hex[:8]}"
        self.panes = changelog_topic(self.group, PANES_TABLE)
        topics = dict.fromkeys((*INPUTS, self.panes), CDC_PARTITIONS)
        topics |= {PROGRESS: 1, ALERTS: 1, changelog_topic(self.group, ALERTS_TABLE): 1}
        self.broker = start_broker(run_dir, topics)
        self.log = (run_dir / "workers.log").open("ab")
        self.workers = []
        self.producer = Producer({"bootstrap.servers": self.broker.bootstrap_servers, "linger.ms": 0})
        self.ends = dict.fromkeys(range(CDC_PARTITIONS), 0)
        self.rows = self.lsn = 0
        self.base_s = int(time.time())
        self.watermark_ms = 0

    def start_worker(self):
        told = {"bootstrap_servers": self.broker.bootstrap_servers, "group": self.group, "time_scale": TIME_SCALE}
        argv = [sys.executable, "-m", "tests.integration.windows.worker", json.dumps(told)]
        worker = subprocess.Popen(argv, cwd=ROOT, stdout=self.log, stderr=subprocess.STDOUT)
        self.workers.append(worker)
        return worker

    def second(self, number, delivered, failed):
        """One second of traffic and the progress record that covers it."""
        at_ms = (self.base_s + number) * 1_000
        for status in ["DELIVERED"] * delivered + ["FAILED"] * failed:
            self.rows += 1
            self.lsn += 8
            value = push_log(self.rows, status, commit_ms=at_ms, tx=self.rows, lsn=self.lsn, previous=self.lsn - 4)
            partition = self.rows % CDC_PARTITIONS
            self.producer.produce(
                PUSH_LOGS, value, str(self.rows), partition=partition, headers=[(EPOCH_HEADER, b"7-1")]
            )
            self.ends[partition] += 1
        assert self.producer.flush(20) == 0
        self.watermark_ms = at_ms
        self.heartbeat()

    def heartbeat(self):
        """A progress record, as the relay writes several a second."""
        self.watermark_ms += 1
        ends = {PUSH_LOGS: tuple(self.ends.values()), INPUTS[1]: (0,) * CDC_PARTITIONS}
        progress = Progress("7-1", self.lsn, self.watermark_ms, ends)
        self.producer.produce(PROGRESS, encode_progress(progress), b"bongsu")
        assert self.producer.flush(20) == 0

    def read(self, topic, partitions=1):
        consumer = Consumer({"bootstrap.servers": self.broker.bootstrap_servers, "group.id": "test-reader"})
        found = []
        try:
            for partition in range(partitions):
                low, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
                consumer.assign([TopicPartition(topic, partition, low)])
                while low < end:
                    for message in consumer.consume(1_000, 1.0):
                        assert message.error() is None
                        found.append((message.key(), message.value()))
                        low = message.offset() + 1
        finally:
            consumer.close()
        return found

    def alerts(self):
        return [CODEC.decode("alert", value) for _, value in self.read(ALERTS)]

    def wait_for(self, status):
        """Until the newest alert has this status; the relay's progress goes on meanwhile."""
        deadline_s = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline_s:
            assert all(worker.poll() in (None, -signal.SIGKILL) for worker in self.workers), "a worker ended"
            found = self.alerts()
            if found and found[-1]["status"] == status:
                return found
            self.heartbeat()
            time.sleep(0.2)
        raise AssertionError(f"no {status} alert after {LIMIT_S} s; see {self.log.name}")

    def stop(self):
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGTERM)
        codes = [worker.wait(40) for worker in self.workers]
        self.log.close()
        self.broker.stop()
        return codes


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path)
    yield cluster
    for worker in cluster.workers:
        if worker.poll() is None:
            worker.kill()
            worker.wait()
    if not cluster.log.closed:
        cluster.stop()


def healthy(cluster, first, last):
    for number in range(first, last):
        cluster.second(number, 10, 0)


def test_an_alert_fires_and_resolves(cluster):
    cluster.start_worker()
    for number in range(3):
        cluster.second(number, 20, 0)
    cluster.second(3, 0, 60)
    (fired,) = cluster.wait_for("firing")
    assert (fired["severity"], fired["generation"], fired["replayed"]) == ("critical", 1, False)
    assert fired["startsAt"] == (cluster.base_s + 3) * 1_000
    healthy(cluster, 5, 40)
    found = cluster.wait_for("resolved")
    assert len({alert["id"] for alert in found}) == 1
    assert [alert["generation"] for alert in found] == list(range(1, len(found) + 1))
    assert cluster.stop() == [0]


def test_a_worker_killed_while_firing_keeps_the_episode(cluster):
    first = cluster.start_worker()
    cluster.second(0, 0, 60)
    (fired,) = cluster.wait_for("firing")
    first.kill()
    first.wait()
    cluster.second(1, 0, 5)
    cluster.start_worker()
    healthy(cluster, 2, 40)
    found = cluster.wait_for("resolved")
    assert {(alert["id"], alert["startsAt"]) for alert in found} == {(fired["id"], fired["startsAt"])}
    assert [alert["generation"] for alert in found] == list(range(1, len(found) + 1)), "one record per generation"
    assert [alert["status"] for alert in found].count("resolved") == 1
    view = View(shipped_rules(TIME_SCALE).layout)
    for key, value in cluster.read(cluster.panes, CDC_PARTITIONS):
        view.apply(key, value)
    total = view.sums(Series("push_outcomes"), (cluster.base_s + 100) * 1_000, 200_000)
    assert total == {"attempted": cluster.rows, "delivered": cluster.rows - 65}


def test_a_broker_that_freezes_delays_alerts_and_loses_none(cluster):
    cluster.start_worker()
    cluster.second(0, 0, 60)
    (fired,) = cluster.wait_for("firing")
    cluster.broker.pause()
    time.sleep(FREEZE_S)
    cluster.broker.resume()
    healthy(cluster, 1, 40)
    found = cluster.wait_for("resolved")
    assert {alert["id"] for alert in found} == {fired["id"]}
    assert [alert["generation"] for alert in found] == list(range(1, len(found) + 1))
