"""Workers under SIGKILL: at the end the tables' changelog must equal a recount of the topic.

By hand: `python -m tests.integration.engine.kill_loop BOOTSTRAP --kills 12 --seed 1`.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.integration.engine.kill_worker import TABLE

ROOT = Path(__file__).parents[3]
SERIES = 6


@dataclass(slots=True)
class Report:
    """What the loop found; `mismatches` must be empty. `kills` are only those that struck while there was work."""

    seed: int
    kills: int
    records: int
    finished: bool
    longest_stall_s: float
    seconds: float
    mismatches: list[str] = field(default_factory=list)
    exit_codes: list[int] = field(default_factory=list)
    committed: list[int] = field(default_factory=list)


class KillLoop:
    def __init__(
        self, bootstrap: str, *, seed: int, kills: int, records: int, partitions: int = 4, delay_s: float = 0.15
    ) -> None:
        self.bootstrap = bootstrap
        self.kills = kills
        self.records = records
        self.partitions = partitions
        self.random = random.Random(seed)
        self.group = f"kill-{uuid.uuid4().hex[:8]}"
        self.topic = f"{self.group}-input"
        self.changelog = f"{self.group}-{TABLE}-changelog"
        self.logs = Path(tempfile.mkdtemp(prefix="kill-loop-"))
        self.told = {
            "group": self.group, "topic": self.topic, "partitions": partitions, "delay_s": delay_s,
            "slice_records": 500, "bootstrap_servers": bootstrap,
        }  # fmt: skip
        self.report = Report(seed, 0, records, False, 0.0, 0.0)
        self._began = 0

    def run(self, limit_s: float) -> Report:
        began_s = time.monotonic()
        self._create_topics()
        self._produce()
        workers = [self._start(), self._start()]
        try:
            self._kill_until_done(workers, began_s + limit_s)
        finally:
            self.report.exit_codes = [_stop(worker) for worker in workers]
        self.report.committed = self._committed()
        self.report.mismatches = self._audit()
        self.report.seconds = round(time.monotonic() - began_s, 1)
        return self.report

    def _create_topics(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        config = {"cleanup.policy": "compact"}
        topics = [
            NewTopic(self.topic, self.partitions, 1),
            NewTopic(self.changelog, self.partitions, 1, config=config),
        ]
        for future in admin.create_topics(topics).values():
            future.result(20)

    def _produce(self) -> None:
        producer = Producer(
            {"bootstrap.servers": self.bootstrap, "linger.ms": 20, "compression.type": "lz4",
             "queue.buffering.max.messages": 1_000_000}
        )  # fmt: skip
        for number in range(self.records):
            value = json.dumps([number, number % SERIES]).encode()
            producer.produce(self.topic, key=str(number).encode(), value=value)
            if number % 1000 == 0:
                producer.poll(0)
        assert producer.flush(60) == 0

    def _start(self) -> "subprocess.Popen[bytes]":
        self._began += 1
        log = (self.logs / f"worker-{self._began}.log").open("wb")
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.integration.engine.kill_worker", json.dumps(self.told)],
                cwd=ROOT, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def _kill_until_done(self, workers: "list[subprocess.Popen[bytes]]", deadline_s: float) -> None:
        moved_s, before = time.monotonic(), [-1] * self.partitions
        next_kill_s = time.monotonic() + self.random.uniform(3, 6)
        while time.monotonic() < deadline_s:
            now = self._committed()
            if now != before:
                before, moved_s = now, time.monotonic()
            if sum(now) >= self.records:
                self.report.finished = True
                return
            self.report.longest_stall_s = max(self.report.longest_stall_s, round(time.monotonic() - moved_s, 1))
            if self.report.kills < self.kills and time.monotonic() >= next_kill_s:
                self._kill_one(workers)
                next_kill_s = time.monotonic() + self.random.uniform(1, 9)
            time.sleep(0.25)

    def _kill_one(self, workers: "list[subprocess.Popen[bytes]]") -> None:
        index = self.random.randrange(len(workers))
        workers[index].send_signal(signal.SIGKILL)
        workers[index].wait()
        self.report.kills += 1
        time.sleep(self.random.uniform(0, 1))
        workers[index] = self._start()

    def _committed(self) -> list[int]:
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.group, "log_level": 0})
        asked = [TopicPartition(self.topic, partition) for partition in range(self.partitions)]
        try:
            return [max(0, found.offset) for found in consumer.committed(asked, timeout=10)]
        except KafkaException:
            return [0] * self.partitions
        finally:
            consumer.close()

    def _audit(self) -> list[str]:
        truth: dict[str, list[int]] = {}
        for message in read_all(self.bootstrap, self.topic, self.partitions):
            number, series = json.loads(message.value() or b"null")
            entry = truth.setdefault(f"{message.partition()}|{series}", [0, 0])
            entry[0] += 1
            entry[1] += number
        found: dict[str, Any] = {}
        for message in read_all(self.bootstrap, self.changelog, self.partitions):
            found[json.loads(message.key() or b"null")] = json.loads(message.value() or b"null")
        counted = {key: [state["count"], state["total"]] for key, state in found.items()}
        return [f"{key}: {counted.get(key)} instead of {truth[key]}" for key in truth if counted.get(key) != truth[key]]


def read_all(bootstrap: str, topic: str, partitions: int) -> Iterator[Message]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "audit", "enable.auto.commit": False})
    try:
        for partition in range(partitions):
            where = TopicPartition(topic, partition)
            low, end = consumer.get_watermark_offsets(where, timeout=20)
            consumer.assign([TopicPartition(topic, partition, low)])
            while consumer.position([where])[0].offset < end and low < end:
                for message in consumer.consume(5000, 1.0):
                    if not message.error():
                        yield message
    finally:
        consumer.close()


def _stop(worker: "subprocess.Popen[bytes]") -> int:
    worker.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        return worker.wait(40)
    worker.kill()
    return worker.wait()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("bootstrap")
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--records", type=int, default=500_000)
    told = parser.parse_args()
    loop = KillLoop(told.bootstrap, seed=told.seed, kills=told.kills, records=told.records)
    report = loop.run(limit_s=600)
    print(json.dumps({**{name: getattr(report, name) for name in report.__slots__}, "logs": str(loop.logs)}))
    return 0 if report.finished and report.kills == told.kills and not report.mismatches else 1


if __name__ == "__main__":
    sys.exit(main())
