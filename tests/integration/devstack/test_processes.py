"""Children that are frozen, thawed and killed with all their descendants, and that die with their parent."""

import os
import signal
import subprocess
import sys
import time

import pytest

from devstack.process_tree import descendants
from devstack.processes import PROJECT_ROOT, Command, StartFailed, spawn

pytestmark = pytest.mark.integration

# A child with a child of its own that has left the process group, as PostgreSQL's backends do.
FAMILY = (
    "import subprocess, sys, time\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
    "print('ready', flush=True)\n"
    "time.sleep(600)\n"
)
# A parent that starts such a child from a thread that ends at once, says the pids and waits.
PARENT = (
    "import pathlib, sys, threading, time\n"
    "from devstack.process_tree import descendants\n"
    "from devstack.processes import Command, spawn\n"
    "log, family = pathlib.Path(sys.argv[1]), sys.argv[2]\n"
    "children = []\n"
    "def start():\n"
    "    command = Command('family', [sys.executable, '-c', family], log, keeps_pipes=True)\n"
    "    children.append(spawn(command))\n"
    "starter = threading.Thread(target=start)\n"
    "starter.start()\n"
    "starter.join()\n"
    "children[0].first_line(10)\n"
    "if sys.argv[3] == 'frozen':\n"
    "    children[0].pause()\n"
    "print(children[0].pid, *descendants(children[0].pid), flush=True)\n"
    "if sys.argv[3] != 'ends':\n"
    "    time.sleep(600)\n"
)


def wait_for(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.01)


def state(pid):
    """Letter of the process's state, Z counted as gone; empty when there is none."""
    said = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return said.stdout.strip()[:1].replace("Z", "")


@pytest.fixture
def family(tmp_path):
    child = spawn(Command("family", [sys.executable, "-c", FAMILY], tmp_path / "log", keeps_pipes=True))
    assert child.first_line(10) == "ready\n"
    yield child
    child.kill()


def test_pause_and_resume_reach_descendants_in_other_sessions(family):
    tree = [family.pid, *descendants(family.pid)]
    assert len(tree) == 2

    family.pause()
    wait_for(lambda: [state(pid) for pid in tree] == ["T", "T"])
    family.resume()
    wait_for(lambda: "T" not in [state(pid) for pid in tree])


@pytest.mark.parametrize("frozen", [False, True])
def test_kill_leaves_nobody(family, frozen):
    tree = [family.pid, *descendants(family.pid)]
    if frozen:
        family.pause()

    family.kill()

    wait_for(lambda: [state(pid) for pid in tree] == ["", ""])
    assert not family.running()
    family.kill()


def test_stop_thaws_a_frozen_child_and_lets_it_end(tmp_path):
    child = spawn(Command("sleep", ["sleep", "600"], tmp_path / "log"))
    child.pause()

    started = time.monotonic()
    child.stop(timeout_s=10)

    assert not child.running()
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("how", ["killed", "frozen", "ends"])
def test_children_die_with_their_parent_and_not_with_the_thread_that_started_them(tmp_path, how):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log"), FAMILY, how],
        stdout=subprocess.PIPE,
        cwd=PROJECT_ROOT,
        text=True,
    )
    with parent, parent.stdout as said:
        tree = [int(pid) for pid in said.readline().split()]
        assert len(tree) == 2
        if how != "ends":
            assert "" not in [state(pid) for pid in tree]
            os.kill(parent.pid, signal.SIGKILL)
        parent.wait(10)
    wait_for(lambda: [state(pid) for pid in tree] == ["", ""])


def test_a_program_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(StartFailed, match="nothing could not be started"):
        spawn(Command("nothing", ["/no/such/program"], tmp_path / "log"))


def test_a_child_that_ends_while_starting_shows_its_log(tmp_path):
    script = "import sys; sys.exit('the disk is full')"
    child = spawn(Command("server", [sys.executable, "-c", script], tmp_path / "log"))

    with pytest.raises(StartFailed, match=r"ended with code 1(?s:.*)the disk is full"):
        child.wait_until(lambda: False, timeout_s=10)


def test_a_child_that_is_never_ready_is_reported(tmp_path):
    child = spawn(Command("server", ["sleep", "600"], tmp_path / "log"))
    try:
        with pytest.raises(StartFailed, match=r"not ready after 0\.1 s"):
            child.wait_until(lambda: False, timeout_s=0.1)
    finally:
        child.kill()


def test_a_child_leads_its_own_session_out_of_reach_of_the_terminal(family):
    assert os.getsid(family.pid) == family.pid
