"""The embedded broker: librdkafka's in-memory mock cluster, run as a process of its own.

It speaks the Kafka protocol to any client: consumer groups, fail-over between processes, Faust tables.
Its limits, all librdkafka's:
- it forgets everything when it ends, so it is frozen rather than restarted when a test breaks the broker;
- a partition keeps at most 5 MB (as sent: compressed batches count compressed) and 100,000 batches; the oldest
  are dropped beyond that, whether they were read or not;
- no CreateTopics: topics exist from the start with the partition counts given here, an unknown topic is created
  on first use with `FALLBACK_PARTITIONS`;
- an idle fetch is not woken by new records: it waits out the client's whole fetch_max_wait (measured), so clients
  of this broker should set that to some 20 ms. A real Kafka answers as soon as it has a byte;
- who joins a living group, or one that was just left, waits for the session time-out less a second;
- a follower whose SyncGroup comes after the leader's is refused with INVALID_REQUEST. librdkafka joins again,
  aiokafka 0.14 gives up: one aiokafka worker per group is safe here, several need a real Kafka;
- no retention, no compaction, one broker, no TLS, no SASL, no read_committed isolation.

The mock cluster's C functions are called with ctypes on the very library that confluent-kafka bundles,
since only they take partition counts. Where that file cannot be found, a plain producer with
`test.mock.num.brokers` gives the same broker with `FALLBACK_PARTITIONS` partitions for every topic.
"""

import argparse
import ctypes
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import files
from pathlib import Path
from typing import Protocol

from confluent_kafka import Producer

from devstack.processes import Child, Command, end_with_stdin, python_module, spawn
from ops.changelogs import all_topics

PARTITION_MAX_BYTES = 5 * 1024 * 1024
PARTITION_MAX_BATCHES = 100_000
FALLBACK_PARTITIONS = 4
ERROR_BUFFER_BYTES = 512
RD_KAFKA_PRODUCER = 0
WAKE_EVERY_S = 0.005


class MockFailed(Exception):
    """librdkafka refused to make the mock cluster or a topic; the text is its own."""


class Mock(Protocol):
    """A running mock cluster in this process."""

    bootstrap_servers: str
    fixed_partitions: int | None


class NativeMock:
    """A mock cluster made by librdkafka's C functions; lives as long as this object's process."""

    fixed_partitions: int | None = None

    def __init__(self, library: Path, topics: Mapping[str, int]) -> None:
        """Start the cluster and create the topics (name to partition count); raises MockFailed."""
        rdkafka = _load(library)
        error = ctypes.create_string_buffer(ERROR_BUFFER_BYTES)
        handle = rdkafka.rd_kafka_new(RD_KAFKA_PRODUCER, rdkafka.rd_kafka_conf_new(), error, ERROR_BUFFER_BYTES)
        if not handle:
            raise MockFailed(error.value.decode())
        cluster = rdkafka.rd_kafka_mock_cluster_new(handle, 1)
        if not cluster:
            raise MockFailed("rd_kafka_mock_cluster_new returned nothing")
        self.bootstrap_servers: str = rdkafka.rd_kafka_mock_cluster_bootstraps(cluster).decode()
        with _kept_awake(self.bootstrap_servers):
            # The default of 3 s would be added to every worker's start.
            rdkafka.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0)
            for name, partitions in topics.items():
                if code := rdkafka.rd_kafka_mock_topic_create(cluster, name.encode(), partitions, 1):
                    raise MockFailed(f"topic {name} with {partitions} partitions: error {code}")


class ProducerMock:
    """The same cluster behind a configuration property; partition counts cannot be chosen per topic."""

    fixed_partitions: int | None = FALLBACK_PARTITIONS

    def __init__(self) -> None:
        """Start the cluster and learn its address."""
        self._producer = Producer({"test.mock.num.brokers": 1})
        brokers = self._producer.list_topics(timeout=10).brokers.values()
        self.bootstrap_servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)


def bundled_library() -> Path | None:
    """The librdkafka file inside the installed confluent-kafka, or None where a system one is linked."""
    for file in files("confluent-kafka") or []:
        if "librdkafka" in file.name and file.suffix not in (".h", ".pc", ".a"):
            return Path(str(file.locate()))
    return None


def start_mock(topics: Mapping[str, int]) -> Mock:
    """A mock cluster in this very process, native if possible."""
    library = bundled_library()
    return NativeMock(library, topics) if library else ProducerMock()


class Broker:
    """The embedded broker's process."""

    def __init__(self, child: Child, bootstrap_servers: str) -> None:
        """Wrap a broker that has said its address."""
        self._child = child
        self.bootstrap_servers = bootstrap_servers

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def stop(self) -> None:
        """End it; everything it held is gone."""
        self._child.kill()

    def kill(self) -> None:
        """SIGKILL; the same loss as `stop`."""
        self._child.kill()

    def pause(self) -> None:
        """Freeze it: clients see a broker that accepts connections and never answers."""
        self._child.pause()

    def resume(self) -> None:
        """Thaw it after `pause`; nothing was lost."""
        self._child.resume()


def start_broker(run_dir: Path, topics: Mapping[str, int] | None = None) -> Broker:
    """Start the broker with the registry's topics, or with `topics` (name to partition count) instead.

    Raises StartFailed.
    """
    chosen = (
        ["--topics-from-registry"]
        if topics is None
        else [f"--topic={name}:{partitions}" for name, partitions in topics.items()]
    )
    child = spawn(
        Command(
            name="embedded broker",
            argv=python_module("devstack.broker", *chosen),
            log=run_dir / "broker.log",
            keeps_pipes=True,
        )
    )
    try:
        said = json.loads(child.first_line(timeout_s=20))
    except BaseException:
        child.kill()
        raise
    return Broker(child, said["bootstrap_servers"])


def _load(library: Path) -> ctypes.CDLL:
    loaded = ctypes.CDLL(str(library))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_new": (pointer, [number, pointer, text, ctypes.c_size_t]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, number]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_topic_create": (number, [pointer, text, number, number]),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [pointer, ctypes.c_int32]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


@contextmanager
def _kept_awake(address: str) -> Iterator[None]:
    """Connect to the mock cluster every few milliseconds, so that its thread keeps looking at its queue.

    That thread now and then misses the signal for a call from outside and sleeps on for its whole poll of one second:
    creating 18 topics took 0.002 s or 2 to 4 s (confluent-kafka 2.16.1: 15 of 25 runs were
    slow, none of 25 with this).
    """
    host, _, port = address.rpartition(":")
    done = threading.Event()

    def knock() -> None:
        while not done.wait(WAKE_EVERY_S):
            with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
                continue

    knocking = threading.Thread(target=knock, daemon=True)
    knocking.start()
    try:
        yield
    finally:
        done.set()
        knocking.join()


def _topic(text: str) -> tuple[str, int]:
    name, _, partitions = text.rpartition(":")
    return name, int(partitions)


def main() -> None:
    """Run a broker, print its address as one JSON line, and stay until told to end."""
    parser = argparse.ArgumentParser(prog="python -m devstack.broker", description=main.__doc__)
    parser.add_argument("--topics-from-registry", action="store_true", help="create the topics of topics/registry.toml")
    parser.add_argument("--topic", action="append", type=_topic, default=[], metavar="NAME:PARTITIONS")
    chosen = parser.parse_args()
    end_with_stdin()
    topics = dict(chosen.topic)
    if chosen.topics_from_registry:
        topics |= {topic.name: topic.partitions for topic in all_topics("bongsu")}
    mock = start_mock(topics)
    said = {"bootstrap_servers": mock.bootstrap_servers, "fixed_partitions": mock.fixed_partitions}
    print(json.dumps(said), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
