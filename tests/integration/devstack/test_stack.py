"""The stack as one thing: complete after the start, broken and healed part by part, gone after the stop."""

import os
import time

import psycopg
import pytest
from confluent_kafka.admin import AdminClient

from devstack import stack as module
from devstack.http_json import HttpFailed, get_json
from devstack.ports import accepts
from devstack.processes import StartFailed
from devstack.stack import start_embedded

pytestmark = pytest.mark.integration


def test_everything_answers(embedded_stack):
    with psycopg.connect(embedded_stack.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM user_activity_event").fetchone() == (0,)
    client = AdminClient({"bootstrap.servers": embedded_stack.bootstrap_servers})
    assert "activity.events" in client.list_topics(timeout=10).topics
    assert isinstance(get_json(f"{embedded_stack.registry_url}/subjects"), list)
    assert embedded_stack.embedded


def test_a_paused_part_hangs_and_resumes(embedded_stack):
    embedded_stack.pause("registry")
    try:
        with pytest.raises(HttpFailed, match="timed out"):
            get_json(f"{embedded_stack.registry_url}/subjects", timeout_s=0.5)
    finally:
        embedded_stack.resume("registry")
    get_json(f"{embedded_stack.registry_url}/subjects")


def test_the_embedded_broker_cannot_be_restarted(embedded_stack):
    with pytest.raises(ValueError, match="forgets everything"):
        embedded_stack.restart("broker")


def test_two_stacks_at_once_and_nothing_left(tmp_path):
    with start_embedded(tmp_path / "one") as one, start_embedded(tmp_path / "two") as two:
        assert one.bootstrap_servers != two.bootstrap_servers
        pids = [part.pid for stack in (one, two) for part in (stack.postgres, stack.broker)]
        ports = [stack.postgres.port for stack in (one, two)]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert [accepts(port) for port in ports] == [False, False]
    one.stop()


def test_a_part_that_fails_to_start_takes_the_others_with_it(tmp_path, monkeypatch):
    started = []
    start_postgres = module.start_postgres

    def remember(*arguments):
        started.append(start_postgres(*arguments))
        return started[0]

    def fail(_run_dir):
        raise StartFailed("the broker did not come up")

    monkeypatch.setattr(module, "start_postgres", remember)
    monkeypatch.setattr(module, "start_broker", fail)

    with pytest.raises(StartFailed, match="the broker did not come up"):
        start_embedded(tmp_path)
    assert not accepts(started[0].port)
    assert not started[0].data_dir.exists()


def test_the_embedded_stack_starts_in_seconds(tmp_path):
    started = time.monotonic()
    with start_embedded(tmp_path):
        assert time.monotonic() - started < 10
