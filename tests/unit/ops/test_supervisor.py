"""The supervisor with real, tiny processes: what ends comes back, what loops is left alone, nothing stays."""

import os
import select
import subprocess
import sys
import threading

import pytest

from ops.restarts import RestartPolicy
from ops.supervisor import ProcessSpec, Status, Supervisor

QUICK = RestartPolicy(first_delay_s=0.01, longest_delay_s=0.02)
PATIENCE_S = 10.0
WAITS = "import signal; print('ready', flush=True); signal.pause()"


class Watched:
    """A supervisor whose lines and states can be waited for."""

    def __init__(self, *specs, stop_within_s=5.0):
        self.lines = []
        self.statuses = []
        self._changed = threading.Condition()
        self.supervisor = Supervisor(
            [ProcessSpec(name, [sys.executable, "-S", "-c", code]) for name, code in specs],
            self._on_line,
            on_state=self._on_state,
            policy=QUICK,
            stop_within_s=stop_within_s,
        )

    def _on_line(self, name, line):
        with self._changed:
            self.lines.append((name, line))
            self._changed.notify_all()

    def _on_state(self, state):
        with self._changed:
            self.statuses.append((state.name, state.status))
            self._changed.notify_all()

    def until(self, ready):
        with self._changed:
            assert self._changed.wait_for(ready, PATIENCE_S), (self.lines, self.statuses)


@pytest.fixture
def watched():
    started = []

    def start(*specs, **options):
        one = Watched(*specs, **options)
        started.append(one)
        one.supervisor.start()
        return one

    yield start
    for one in started:
        one.supervisor.stop()


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_lines_arrive_with_the_name_of_their_process(watched):
    one = watched(("a", WAITS), ("b", WAITS))
    one.until(lambda: {("a", "ready"), ("b", "ready")} <= set(one.lines))


def test_standard_error_and_broken_text_arrive_too(watched):
    one = watched(("a", r"import sys; sys.stderr.buffer.write(b'\xff oops\n'); sys.stderr.flush()" + "\n" + WAITS))
    one.until(lambda: ("a", "\ufffd oops") in one.lines)


def test_a_killed_process_comes_back(watched):
    one = watched(("a", WAITS))
    one.until(lambda: one.lines.count(("a", "ready")) == 1)
    first = one.supervisor.states()["a"].pid
    one.supervisor.kill("a")
    one.until(lambda: one.lines.count(("a", "ready")) == 2)
    state = one.supervisor.states()["a"]
    assert (state.restarts, state.last_exit_code, state.status) == (1, -9, Status.RUNNING)
    assert state.pid != first


def test_a_crash_loop_is_left_alone_and_the_others_go_on(watched):
    one = watched(("bad", "raise SystemExit(1)"), ("good", WAITS))
    one.until(lambda: ("bad", Status.CRASH_LOOP) in one.statuses and ("good", "ready") in one.lines)
    states = one.supervisor.states()
    assert states["bad"].restarts == 4
    assert states["good"].status is Status.RUNNING


def test_a_crash_loop_can_be_started_again_by_hand(watched):
    one = watched(("bad", "raise SystemExit(1)"), ("good", WAITS))
    one.until(lambda: ("bad", Status.CRASH_LOOP) in one.statuses)
    one.supervisor.restart("bad")
    one.until(lambda: one.statuses.count(("bad", Status.CRASH_LOOP)) == 2)


def test_when_nothing_is_left_to_run_it_ends():
    one = Supervisor([ProcessSpec("a", [sys.executable, "-S", "-c", "raise SystemExit(3)"])], print)
    one.start()
    assert one.wait(PATIENCE_S)
    with pytest.raises(RuntimeError, match="nothing was left"):
        one.restart("a")


def test_what_says_that_a_restart_cannot_help_is_not_restarted(watched):
    one = watched(("a", "raise SystemExit(3)"), ("b", WAITS))
    one.until(lambda: ("a", Status.REFUSED) in one.statuses)
    state = one.supervisor.states()["a"]
    assert (state.restarts, state.last_exit_code) == (0, 3)


def test_a_restart_by_hand_is_not_a_crash(watched):
    one = watched(("a", WAITS))
    for count in range(1, 7):
        one.until(lambda count=count: one.lines.count(("a", "ready")) == count)
        one.supervisor.restart("a")
    one.until(lambda: one.lines.count(("a", "ready")) == 7)
    assert ("a", Status.CRASH_LOOP) not in one.statuses


def test_stop_ends_everything_also_what_ignores_it_and_its_children(watched):
    stubborn = (
        "import signal, subprocess, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import signal; signal.pause()'])\n"
        "print(child.pid, flush=True)\n"
        "signal.pause()"
    )
    one = watched(("stubborn", stubborn), ("good", WAITS), stop_within_s=0.2)
    one.until(lambda: len(one.lines) == 2)
    pids = [state.pid for state in one.supervisor.states().values()]
    grandchild = next(int(line) for name, line in one.lines if name == "stubborn")
    one.supervisor.stop()
    assert {state.status for state in one.supervisor.states().values()} == {Status.STOPPED}
    assert not any(alive(pid) for pid in pids)
    # The grandchild was killed with its group; an init process reaps it in its own time.
    assert not alive(grandchild) or _is_zombie(grandchild)


def _is_zombie(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "Z"


def test_a_command_that_does_not_exist_says_so():
    lines = []
    one = Supervisor([ProcessSpec("a", ["/nowhere/at/all"])], lambda _name, line: lines.append(line), policy=QUICK)
    one.start()
    assert one.wait(PATIENCE_S)
    assert lines[0] == "/nowhere/at/all cannot be started: No such file or directory"


def test_names_must_differ():
    with pytest.raises(ValueError, match="unique"):
        Supervisor([ProcessSpec("a", ["x"]), ProcessSpec("a", ["y"])], print)


KILLED = """
import os, signal, sys, threading
from ops.supervisor import ProcessSpec, Supervisor
ready = threading.Event()
one = Supervisor([ProcessSpec("a", [sys.executable, "-S", "-c", sys.argv[1]])], lambda *_: ready.set())
one.start()
ready.wait()
print(one.states()["a"].pid, flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux's kernel ties a child to its parent")
def test_children_die_with_a_supervisor_that_is_killed():
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, WAITS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        child = os.pidfd_open(int(process.stdout.readline()))
        process.stdin.write("now\n")
        process.stdin.flush()
        ended = select.poll()
        ended.register(child, select.POLLIN)
        assert ended.poll(PATIENCE_S * 1_000), "the child outlived its supervisor"
        os.close(child)
    assert process.returncode == -9
