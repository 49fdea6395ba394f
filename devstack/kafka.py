"""A real Kafka 4.1: one KRaft node, broker and controller at once, from Maven artifacts.

Topics are not created on first use: the fixture or the demo applies the registry's plan, as in production.
"""

import base64
import signal
import uuid
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from devstack.java_libraries import java_command, write_properties
from devstack.ports import LOOPBACK, accepts, free_ports
from devstack.processes import Child, Command, StartFailed, spawn

START_TIMEOUT_S = 90
FORMAT_TIMEOUT_S = 60
# The default of 50 partitions costs two seconds at the first group's first join.
INTERNAL_TOPIC_PARTITIONS = "4"


class Kafka:
    """One node and its data directory. `start_kafka` builds and starts it."""

    def __init__(self, run_dir: Path) -> None:
        """Choose free ports; files will be in `run_dir`/kafka; nothing runs yet."""
        self._home = run_dir / "kafka"
        self._port, self._controller_port = free_ports(2)
        self._child: Child | None = None
        self.bootstrap_servers = f"{LOOPBACK}:{self._port}"

    @property
    def pid(self) -> int:
        """The Java process's id; raises RuntimeError while stopped."""
        return self._running_child().pid

    def initialise(self) -> None:
        """Write the configuration and format the storage; raises JavaMissing or StartFailed."""
        self._home.mkdir(parents=True)
        config = write_properties(self._home / "server.properties", self._properties())
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        child = spawn(
            Command(
                name="Kafka storage tool",
                argv=java_command("kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "-c", config),
                log=self._home / "format.log",
            )
        )
        code = child.wait(FORMAT_TIMEOUT_S)
        if code != 0:
            child.kill()
            raise StartFailed(f"Kafka's storage could not be formatted (code {code}).{child.log_tail()}")

    def start(self) -> None:
        """Start on the existing data and wait until the broker answers; raises StartFailed."""
        self._child = spawn(
            Command(
                name="Kafka",
                argv=java_command("kafka.Kafka", self._home / "server.properties"),
                log=self._home / "kafka.log",
                cwd=self._home,
            )
        )
        self._child.wait_until(self._is_ready, START_TIMEOUT_S)

    def stop(self) -> None:
        """Controlled shutdown; safe to call when it does not run."""
        if self._child is not None:
            self._child.stop(signal.SIGTERM, timeout_s=20)
            self._child = None

    def kill(self) -> None:
        """SIGKILL, as a crash of the node would be; what was flushed to the page cache survives."""
        self._running_child().kill()
        self._child = None

    def restart(self) -> None:
        """Stop in order (or notice that it was killed) and start on the same data and ports."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the process: connections stay open, nothing answers."""
        self._running_child().pause()

    def resume(self) -> None:
        """Thaw after `pause`."""
        self._running_child().resume()

    def _is_ready(self) -> bool:
        if not accepts(self._port):
            return False
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        try:
            return bool(admin.list_topics(timeout=5).brokers)
        except KafkaException:
            return False

    def _running_child(self) -> Child:
        if self._child is None:
            raise RuntimeError("Kafka is not running")
        return self._child

    def _properties(self) -> dict[str, str]:
        broker = f"PLAINTEXT://{self.bootstrap_servers}"
        controller = f"{LOOPBACK}:{self._controller_port}"
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"{broker},CONTROLLER://{controller}",
            "advertised.listeners": broker,
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self._home / "data"),
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": INTERNAL_TOPIC_PARTITIONS,
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": INTERNAL_TOPIC_PARTITIONS,
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # A killed node is let in again when its old session has run out: 9 s by default.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "num.partitions": "1",
        }


def start_kafka(run_dir: Path) -> Kafka:
    """Create a node in `run_dir` and start it; raises JavaMissing or StartFailed."""
    kafka = Kafka(run_dir)
    try:
        kafka.initialise()
        kafka.start()
    except BaseException:
        kafka.stop()
        raise
    return kafka
