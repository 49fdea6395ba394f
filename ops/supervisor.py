"""Runs several processes, reads their lines, starts again what ends, and leaves nothing behind.

`./bongsu up` and the demo use it. What to do after an exit is decided in `ops.restarts`; here is only the doing.
One thread starts, watches and restarts (the kernel ties a child to the thread that started it, so that thread
lives until every child has ended); one thread per child reads its output. Children lead their own process group:
Ctrl-C reaches only this process, which then stops them in order.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import assert_never

from ops.restarts import CrashLoop, Refused, Restart, RestartPolicy, decide

_TETHER = Path(__file__).with_name("tether.py")
_WATCH_EVERY_S = 0.02
_REMEMBERED_EXITS = 50
_LAST_LINES_S = 1.0


class Status(StrEnum):
    """Where one process stands."""

    WAITING = "waiting"
    RUNNING = "running"
    BACKING_OFF = "backing_off"
    CRASH_LOOP = "crash_loop"
    REFUSED = "refused"
    STOPPED = "stopped"


_TO_BE_STARTED = (Status.WAITING, Status.BACKING_OFF)


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process: a name for log lines, its argv, its whole environment (None: this process's)."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ProcessState:
    """What `states` tells about one process; `since_s` is on the supervisor's clock."""

    name: str
    status: Status
    pid: int | None
    restarts: int
    last_exit_code: int | None
    since_s: float


@dataclass(slots=True)
class _Child:
    spec: ProcessSpec
    since_s: float
    status: Status = Status.WAITING
    process: subprocess.Popen[bytes] | None = None
    reader: threading.Thread | None = None
    start_at_s: float = 0.0
    kill_at_s: float | None = None
    starts: int = 0
    last_exit_code: int | None = None
    exit_times_s: list[float] = field(default_factory=list)
    asked_to_restart: bool = False


class Supervisor:
    """Starts, watches, restarts and stops a fixed set of processes.

    Args:
        specs: the processes; names are unique.
        on_line: called with (name, line without newline) for every line of output, from reader threads.
        on_state: called with the new state after each change, from the watching thread.
        policy: figures of the restart decision.
        clock: monotonic seconds.
        stop_within_s: how long an asked process may take before it is killed.
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        on_line: Callable[[str, str], None],
        *,
        on_state: Callable[[ProcessState], None] | None = None,
        policy: RestartPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        stop_within_s: float = 10.0,
    ) -> None:
        self._on_line = on_line
        self._on_state = on_state or (lambda _state: None)
        self._policy = policy or RestartPolicy()
        self._clock = clock
        self._stop_within_s = stop_within_s
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._stopping = False
        self._children = {spec.name: _Child(spec, clock()) for spec in specs}
        if len(self._children) != len(specs):
            raise ValueError("process names must be unique")
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start all processes; returns at once."""
        self._thread.start()

    def states(self) -> dict[str, ProcessState]:
        """The state of every process, in the order of the specs."""
        with self._lock:
            return {name: self._state(child) for name, child in self._children.items()}

    def restart(self, name: str) -> None:
        """End one process if it runs and start it afresh, also out of a crash loop.

        Raises KeyError for a wrong name, RuntimeError when nothing ran any more and the supervisor ended by itself.
        """
        if not self._thread.is_alive():
            raise RuntimeError("the supervisor has ended: nothing was left to run")
        with self._lock:
            child = self._children[name]
            child.exit_times_s.clear()
            child.start_at_s = self._clock()
            if child.process is not None:
                child.asked_to_restart = True
                self._ask_to_end(child)
            elif not self._stopping:
                self._change(child, Status.BACKING_OFF)
        self._wake.set()

    def kill(self, name: str) -> None:
        """SIGKILL one process, as a crash would; it is then restarted like any other that ended."""
        with self._lock:
            self._signal(self._children[name], signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM to all, SIGKILL to those that take longer than `stop_within_s`. Safe to call twice."""
        with self._lock:
            if not self._stopping:
                self._stopping = True
                for child in self._children.values():
                    self._ask_to_end(child)
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until nothing runs and nothing will be started; False when the time ran out."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _watch(self) -> None:
        while True:
            with self._lock:
                for child in self._children.values():
                    self._step(child)
                if not any(self._will_run(child) for child in self._children.values()):
                    return
            self._wake.wait(_WATCH_EVERY_S)
            self._wake.clear()

    def _will_run(self, child: _Child) -> bool:
        if child.process is not None:
            return True
        return child.status in _TO_BE_STARTED

    def _step(self, child: _Child) -> None:
        now_s = self._clock()
        if child.process is not None:
            code = child.process.poll()
            if code is not None:
                self._ended(child, code, now_s)
            elif child.kill_at_s is not None and now_s >= child.kill_at_s:
                self._signal(child, signal.SIGKILL)
        elif child.status in _TO_BE_STARTED:
            if self._stopping:
                self._change(child, Status.STOPPED)
            elif now_s >= child.start_at_s:
                self._spawn(child)

    def _ask_to_end(self, child: _Child) -> None:
        child.kill_at_s = self._clock() + self._stop_within_s
        self._signal(child, signal.SIGTERM)

    def _spawn(self, child: _Child) -> None:
        command = [sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), *child.spec.argv]
        env = None if child.spec.env is None else dict(child.spec.env)
        child.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            process_group=0,
        )
        child.starts += 1
        child.kill_at_s = None
        child.reader = threading.Thread(target=self._read, args=(child, child.process), daemon=True)
        child.reader.start()
        self._change(child, Status.RUNNING)

    def _read(self, child: _Child, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                self._on_line(child.spec.name, line.decode("utf-8", "replace").rstrip("\r\n"))

    def _ended(self, child: _Child, code: int, now_s: float) -> None:
        # Whatever the child started itself goes with it; a grandchild would also keep the output pipe open.
        self._signal(child, signal.SIGKILL)
        reader, child.process, child.reader = child.reader, None, None
        if reader is not None:
            reader.join(_LAST_LINES_S)
        child.last_exit_code = code
        if self._stopping:
            self._change(child, Status.STOPPED)
            return
        if child.asked_to_restart:
            child.asked_to_restart = False
            self._change(child, Status.BACKING_OFF)
            return
        child.exit_times_s = [*child.exit_times_s, now_s][-_REMEMBERED_EXITS:]
        match decide(child.exit_times_s, code, self._policy):
            case Restart(delay_s):
                child.start_at_s = now_s + delay_s
                self._change(child, Status.BACKING_OFF)
            case CrashLoop():
                self._change(child, Status.CRASH_LOOP)
            case Refused():
                self._change(child, Status.REFUSED)
            case other:
                assert_never(other)

    def _signal(self, child: _Child, number: signal.Signals) -> None:
        """Send to the child's whole group; a group that is gone already is what was wanted."""
        if child.process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, number)

    def _change(self, child: _Child, status: Status) -> None:
        child.status = status
        child.since_s = self._clock()
        self._on_state(self._state(child))

    def _state(self, child: _Child) -> ProcessState:
        return ProcessState(
            name=child.spec.name,
            status=child.status,
            pid=child.process.pid if child.process else None,
            restarts=max(0, child.starts - 1),
            last_exit_code=child.last_exit_code,
            since_s=child.since_s,
        )
