"""Debezium's PostgreSQL connector on a standalone Kafka Connect worker: the relay's alternative, in tests.

It is configured to keep the relay's contract: the same topics, keys, envelope (JSON without schemas) and
publication. Its topics have to exist, since the brokers here create none on first use.
"""

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from psycopg.conninfo import conninfo_to_dict

from devstack.http_json import HttpFailed, get_json
from devstack.java_libraries import java_command, write_properties
from devstack.ports import LOOPBACK, free_port
from devstack.processes import Child, Command, StartFailed, spawn

START_TIMEOUT_S = 120


def debezium_properties(
    database_url: str,
    *,
    tables: Sequence[str],
    key_columns: Mapping[str, str],
    topic_prefix: str = "cdc",
    slot: str = "debezium",
    publication: str = "bongsu",
) -> dict[str, str]:
    """A connector configuration for tables of schema public.

    `key_columns` maps a table to the column that is its record's key; tables left out use their primary
    key. The publication has to exist already (`publication.autocreate.mode=disabled`), the slot is made.
    """
    database = conninfo_to_dict(database_url)
    keys = ";".join(f"public.{table}:{column}" for table, column in key_columns.items())
    return {
        "name": topic_prefix,
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "tasks.max": "1",
        "database.hostname": str(database["host"]),
        "database.port": str(database["port"]),
        "database.user": str(database["user"]),
        "database.password": str(database["password"]),
        "database.dbname": str(database["dbname"]),
        "plugin.name": "pgoutput",
        "topic.prefix": topic_prefix,
        "slot.name": slot,
        "publication.name": publication,
        "publication.autocreate.mode": "disabled",
        "snapshot.mode": "no_data",
        "table.include.list": ",".join(f"public.{table}" for table in tables),
        **({"message.key.columns": keys} if keys else {}),
    }


class Connect:
    """One Connect worker with one connector. `start_connect` builds and starts it."""

    def __init__(self, run_dir: Path, bootstrap_servers: str, connector: Mapping[str, str]) -> None:
        """Choose a free REST port; files will be in `run_dir`/connect; nothing runs yet."""
        self._home = run_dir / "connect"
        self._connector = dict(connector)
        self._bootstrap_servers = bootstrap_servers
        self._child: Child | None = None
        self.rest_url = f"http://{LOOPBACK}:{free_port()}"

    def start(self) -> None:
        """Start on the stored offsets and wait until connector and task are RUNNING.

        Raises JavaMissing, or StartFailed with the task's own trace.
        """
        self._home.mkdir(parents=True, exist_ok=True)
        worker = write_properties(self._home / "worker.properties", self._worker_properties())
        # Standalone mode also takes a JSON file, which spares the escaping of a properties file.
        connector = self._home / "connector.json"
        connector.write_bytes(orjson.dumps({"name": self._connector["name"], "config": self._connector}))
        self._child = spawn(
            Command(
                name="Kafka Connect",
                argv=java_command("org.apache.kafka.connect.cli.ConnectStandalone", worker, connector),
                log=self._home / "connect.log",
                cwd=self._home,
            )
        )
        try:
            self._child.wait_until(self._is_running, START_TIMEOUT_S)
        except BaseException:
            self.stop()
            raise

    def status(self) -> dict[str, Any]:
        """Connect's own status of the connector and its tasks; raises HttpFailed."""
        status: dict[str, Any] = get_json(f"{self.rest_url}/connectors/{self._connector['name']}/status")
        return status

    def stop(self) -> None:
        """Orderly stop; offsets are written."""
        if self._child is not None:
            self._child.stop(signal.SIGTERM, timeout_s=20)
            self._child = None

    def kill(self) -> None:
        """SIGKILL: offsets since the last flush are lost and their records come again."""
        self._running_child().kill()
        self._child = None

    def restart(self) -> None:
        """Stop in order (or notice that it was killed) and start on the stored offsets."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the worker."""
        self._running_child().pause()

    def resume(self) -> None:
        """Thaw after `pause`."""
        self._running_child().resume()

    def _is_running(self) -> bool:
        try:
            status = self.status()
        except HttpFailed:
            return False
        for task in status["tasks"]:
            if task["state"] == "FAILED":
                raise StartFailed(f"Debezium's task failed: {task.get('trace', 'no trace')}")
        states = [status["connector"]["state"], *(task["state"] for task in status["tasks"])]
        return len(states) > 1 and set(states) == {"RUNNING"}

    def _running_child(self) -> Child:
        if self._child is None:
            raise RuntimeError("Kafka Connect is not running")
        return self._child

    def _worker_properties(self) -> dict[str, str]:
        converter = "org.apache.kafka.connect.json.JsonConverter"
        return {
            "bootstrap.servers": self._bootstrap_servers,
            "key.converter": converter,
            "value.converter": converter,
            "key.converter.schemas.enable": "false",
            "value.converter.schemas.enable": "false",
            "offset.storage.file.filename": str(self._home / "offsets"),
            "offset.flush.interval.ms": "1000",
            "listeners": self.rest_url,
            "plugin.discovery": "only_scan",
        }


def start_connect(run_dir: Path, *, bootstrap_servers: str, connector: Mapping[str, str]) -> Connect:
    """Start a worker with this connector configuration; raises JavaMissing or StartFailed."""
    connect = Connect(run_dir, bootstrap_servers, connector)
    connect.start()
    return connect
