"""`demo` as a person and a script use it: the report, Ctrl-C, several at once."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from devstack.demo.control import running_demos

pytestmark = pytest.mark.integration

KEYS = (
    "outbox_rows",
    "distinct_events",
    "stored",
    "duplicates",
    "duplicate_rows",
    "dead_letters",
    "dispatch",
    "posthog",
    "push",
    "alerts",
    "audit",
    "seconds",
)


def command(*arguments):
    return [sys.executable, "-m", "devstack", "demo", *arguments]


def test_the_report_of_a_finished_run_adds_up():
    done = subprocess.run(
        command("--events", "2000", "--seed", "7", "--exit", "--output", "json"),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert tuple(said) == KEYS
    assert said["audit"] == "pass"
    assert said["outbox_rows"] == 2_000
    assert said["distinct_events"] == said["stored"] == said["posthog"]["distinct"]
    assert said["dispatch"] == {"DISPATCHED": said["stored"], "FAILED": 0, "PENDING": 0}
    assert said["duplicates"] > 0
    assert said["duplicate_rows"] == 0
    assert said["push"]["delivered"] > 0
    assert set(said["dead_letters"]) == {
        "activity.events.dead-letters",
        "cdc.public.user_activity_source_outbox.dead-letters",
    }
    assert "forgets everything" in done.stderr, "the limits of the embedded broker are said"


class Running:
    """A demo in a process of its own."""

    def __init__(self):
        self.before = set(running_demos())
        self.process = subprocess.Popen(command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ready(self):
        """Its run directory, once it answers."""
        mine = [path for path, card in running_demos().items() if card.pid == self.process.pid]
        return mine[0] if mine else None

    def wait_until_ready(self):
        deadline_s = time.monotonic() + 90
        while self.ready() is None:
            assert self.process.poll() is None, "the demo ended while starting"
            assert time.monotonic() < deadline_s, "the demo is not ready"
            time.sleep(0.1)
        return self.ready()

    def descendants(self):
        return psutil.Process(self.process.pid).children(recursive=True)

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@pytest.fixture
def two_demos():
    demos = [Running(), Running()]
    yield demos
    for demo in demos:
        if demo.process.poll() is None:
            demo.process.kill()
            demo.process.wait()


def test_two_demos_run_at_once_are_told_apart_and_leave_nothing_behind(two_demos):
    directories = [demo.wait_until_ready() for demo in two_demos]
    ids = {path: card.demo_id for path, card in running_demos().items()}
    asked = subprocess.run(command("break", "push"), capture_output=True, text=True, timeout=30, check=False)
    assert asked.returncode == 2
    assert all(ids[path] in asked.stderr for path in directories), "it lists both"
    named = subprocess.run(
        command("break", "push", "--demo", ids[directories[0]]), capture_output=True, text=True, timeout=30, check=False
    )
    assert named.returncode == 0, named.stderr
    again = subprocess.run(
        command("break", "push", "--demo", ids[directories[0]]), capture_output=True, text=True, timeout=30, check=False
    )
    assert again.returncode == 6
    started = [process for demo in two_demos for process in demo.descendants()]
    assert len(started) >= 2 * 10
    assert [demo.interrupt() for demo in two_demos] == [130, 130]
    _, alive = psutil.wait_procs(started, timeout=10)
    assert alive == []
    assert not any(os.path.exists(path) for path in directories)


@pytest.fixture
def private_tmp():
    # Not pytest's own: a socket's path is short, and root's PostgreSQL runs as a user who must get in.
    path = Path(tempfile.mkdtemp(prefix="bq-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def in_private(private_tmp):
    return subprocess.Popen(
        command(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(private_tmp)},
    )


def remains(private_tmp):
    return sorted(path.name for path in private_tmp.iterdir() if path.name.startswith("bongsu-"))


def wait_for_run_dir(private_tmp, process):
    deadline_s = time.monotonic() + 30
    while not list(private_tmp.glob("bongsu-demo-*/pid")):
        assert process.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


@pytest.mark.parametrize("after_s", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_who_is_interrupted_while_starting_leaves_nothing(private_tmp, number, after_s):
    process = in_private(private_tmp)
    try:
        wait_for_run_dir(private_tmp, process)
        time.sleep(after_s)
        process.send_signal(number)
        time.sleep(0.1)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, said
    assert remains(private_tmp) == []


def test_frozen_parts_do_not_hold_up_the_end(private_tmp):
    process = in_private(private_tmp)
    environment = {**os.environ, "TMPDIR": str(private_tmp)}
    try:
        deadline_s = time.monotonic() + 60
        while not list(private_tmp.glob("bongsu-demo-*/demo.json")):
            assert process.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        for target in ("postgres", "broker"):
            subprocess.run(command("break", target), env=environment, check=True, timeout=30, capture_output=True)
        began_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert time.monotonic() - began_s < 20
    assert process.returncode == 130, said
    assert "stopping ..." in said
    assert remains(private_tmp) == []


@pytest.mark.parametrize("verb", ["break", "heal", "list"])
def test_the_help_of_every_verb_has_an_example(verb):
    asked = subprocess.run(command(verb, "--help"), capture_output=True, text=True, timeout=30, check=False)
    assert f"./bongsu demo {verb}" in asked.stdout.partition("Example")[2]


def test_without_a_running_demo_break_says_so():
    if running_demos():
        pytest.skip("a demo of this user is running beside the tests")
    asked = subprocess.run(command("break", "push"), capture_output=True, text=True, timeout=30, check=False)
    assert asked.returncode == 4
    assert "./bongsu demo" in asked.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--exit",),
        ("--events", "0"),
        ("--postgres", "15"),
        ("break", "coffee"),
        ("--output", "xml"),
        ("--output", "json"),
    ],
)
def test_a_wrong_command_line_is_told(arguments):
    asked = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=30, check=False)
    assert asked.returncode == 2
    assert asked.stderr


def test_real_without_java_says_what_is_missing(tmp_path):
    environment = {**os.environ, "PATH": str(tmp_path)}
    asked = subprocess.run(
        command("--stack", "real", "--events", "1", "--exit"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert asked.returncode == 7
    assert "Java" in asked.stderr
