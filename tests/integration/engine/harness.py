"""Topics, workers and what they journalled, on whichever broker a test is given."""

import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

ROOT = Path(__file__).parents[3]


def wait_until(condition: Callable[[], bool], what: str, limit_s: float = 40) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {limit_s} s: {what}"
        time.sleep(0.05)


@dataclass
class Lab:
    """One topic, one group, any number of workers."""

    bootstrap_servers: str
    directory: Path
    partitions: int = 2
    # librdkafka's mock broker answers REBALANCE_IN_PROGRESS where Kafka takes the last commit before the move.
    takes_commits_while_rebalancing: bool = True
    topic: str = field(default_factory=lambda: f"input-{uuid.uuid4().hex[:8]}")
    workers: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    @property
    def group(self) -> str:
        return f"group-of-{self.topic}"

    def create_topic(self, name: str | None = None) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        admin.create_topics([NewTopic(name or self.topic, self.partitions, 1)])[name or self.topic].result(20)

    def produce(self, values: Iterable[bytes], partition: int = 0) -> None:
        producer = Producer({"bootstrap.servers": self.bootstrap_servers})
        for value in values:
            producer.produce(self.topic, value=value, partition=partition)
        assert producer.flush(30) == 0

    def start(self, **told: Any) -> "subprocess.Popen[bytes]":
        name = str(len(self.workers))
        content = {
            "bootstrap_servers": self.bootstrap_servers, "group": self.group, "topic": self.topic,
            "directory": str(self.directory), "name": name, **told,
        }  # fmt: skip
        with (self.directory / f"log-{name}").open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.engine.behaving_worker", json.dumps(content)],
                cwd=ROOT, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.workers.append(worker)
        return worker

    def log(self, index: int = 0) -> str:
        return (self.directory / f"log-{index}").read_text()

    def journal(self, *what: str) -> list[dict[str, Any]]:
        """Entries of all workers; in order for each worker."""
        lines = [
            json.loads(line)
            for path in sorted(self.directory.glob("journal-*"))
            for line in path.read_text().splitlines()
            if line.endswith("}")
        ]
        return [line for line in lines if line["what"] in what]

    def done(self, partition: int = 0) -> list[int]:
        return [
            offset for entry in self.journal("done") if entry["partition"] == partition for offset in entry["offsets"]
        ]

    def committed(self, partition: int = 0) -> int:
        consumer = Consumer({"bootstrap.servers": self.bootstrap_servers, "group.id": self.group, "log_level": 0})
        try:
            return max(0, consumer.committed([TopicPartition(self.topic, partition)], timeout=10)[0].offset)
        except KafkaException:  # a young Kafka has no coordinator yet, a frozen one does not answer
            return 0
        finally:
            consumer.close()

    def wait_committed(self, offset: int, partition: int = 0, limit_s: float = 40) -> None:
        wait_until(lambda: self.committed(partition) == offset, f"commit at {offset}", limit_s)

    def wait_for(self, what: str, count: int = 1, limit_s: float = 40) -> None:
        wait_until(lambda: len(self.journal(what)) >= count, f"{count} × {what}", limit_s)

    def terminate(self, worker: "subprocess.Popen[bytes]", limit_s: float = 40) -> int:
        worker.send_signal(signal.SIGTERM)
        return worker.wait(limit_s)

    def clean_up(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()
