"""A process that cannot work says why in one sentence and ends with the documented code, or waits and says so."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import psycopg
import pytest

from devstack import postgres as devstack_postgres
from devstack.broker import start_broker
from devstack.ports import free_port
from devstack.postgres import start_postgres
from ops import migrations
from ops.changelogs import all_topics
from ops.exit_codes import ExitCode
from tests.e2e.conftest import eventually

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(embedded_stack, database):
    """The environment of a process that would work."""
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "DATABASE_URL": database,
        "KAFKA_BOOTSTRAP_SERVERS": embedded_stack.bootstrap_servers,
        "SCHEMA_REGISTRY_URL": embedded_stack.registry_url,
        "EMBEDDED_BROKER": "1",
        "LOG_FORMAT": "json",
        "START_TIMEOUT_S": "2",
    }


def run(settings, *verb):
    done = subprocess.run(
        [sys.executable, "-m", "ops", *verb], env=settings, capture_output=True, text=True, timeout=30, check=False
    )
    said = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    sentences = [str(record.get("message")) for record in said] + [
        line for line in done.stderr.splitlines() if not line.startswith("{")
    ]
    return done.returncode, "\n".join(sentences)


BOTH = pytest.mark.parametrize("verb", [("relay",), ("worker", "activity")], ids=["relay", "worker"])


@BOTH
def test_a_wrong_password_is_a_wrong_setting(settings, verb):
    address = settings["DATABASE_URL"].rpartition("@")[2]
    code, said = run({**settings, "DATABASE_URL": f"postgresql://postgres:sesame@{address}"}, *verb)
    assert code == ExitCode.CONFIGURATION
    assert "DATABASE_URL" in said
    assert "sesame" not in said


@BOTH
def test_a_dsn_that_is_none_is_a_wrong_setting(settings, verb):
    code, said = run({**settings, "DATABASE_URL": "not a dsn"}, *verb)
    assert code == ExitCode.CONFIGURATION
    assert "DATABASE_URL" in said


@BOTH
@pytest.mark.parametrize("name", ["DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "SCHEMA_REGISTRY_URL"])
def test_what_is_down_is_waited_for_and_then_named(settings, verb, name):
    nobody = {
        "DATABASE_URL": f"postgresql://postgres@127.0.0.1:{free_port()}/bongsu",
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}",
        "SCHEMA_REGISTRY_URL": f"http://127.0.0.1:{free_port()}",
    }
    began_s = time.monotonic()
    code, said = run({**settings, name: nobody[name]}, *verb)
    assert code == ExitCode.UNAVAILABLE
    assert name in said
    assert "ait" in said, "it says that it waits"
    assert time.monotonic() - began_s >= 2


@BOTH
def test_a_missing_topic_is_named(settings, verb, tmp_path):
    outbox = "cdc.public.user_activity_source_outbox"
    broker = start_broker(tmp_path, {one.name: one.partitions for one in all_topics("bongsu") if one.name != outbox})
    try:
        # The embedded broker makes an unknown topic on first use, so only a process that looks first can name it.
        code, said = run({**settings, "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers}, *verb)
    finally:
        broker.stop()
    assert code == ExitCode.CONFIGURATION
    assert outbox in said
    assert "topics apply" in said


def test_a_server_without_logical_decoding_is_named(settings, tmp_path, monkeypatch):
    monkeypatch.setitem(devstack_postgres.SETTINGS, "wal_level", "replica")
    server = start_postgres(tmp_path)
    try:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            migrations.apply(connection)
        code, said = run({**settings, "DATABASE_URL": server.url()}, "relay")
    finally:
        server.discard()
    assert code == ExitCode.CONFIGURATION
    assert "wal_level" in said


class Running:
    """A relay in the background and what it says."""

    def __init__(self, settings):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ops", "relay"], env=settings, stderr=subprocess.PIPE, text=True
        )
        self.said = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        with self.process.stderr as lines:
            self.said += iter(lines.readline, "")

    def says(self, event):
        return any(f'"event":"{event}"' in line for line in self.said)

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(20)
        self._reader.join(5)
        return code


def test_a_second_relay_waits_for_the_slot_and_takes_over(settings):
    first = Running(settings)
    second = None
    try:
        eventually(lambda: first.says("relay.streaming"), 30, "the first relay streams")
        second = Running(settings)
        eventually(lambda: second.says("relay.standby"), 30, "the second one says that it waits")
        assert second.process.poll() is None
        first.end(signal.SIGKILL)
        eventually(lambda: second.says("relay.streaming"), 30, "the second one takes over")
    finally:
        codes = [relay.end() for relay in (first, second) if relay is not None and relay.process.poll() is None]
        print(codes)
