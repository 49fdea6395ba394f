"""Child processes that can be stopped, killed, frozen and thawed, and that never outlive their parent.

Each child leads its own session, so Ctrl-C in the terminal reaches only the parent, which then stops its
children in order. Signals go to the child's whole process tree and not to its process group: PostgreSQL's
backends call setsid() themselves, so a signal to the postmaster's group would reach the postmaster alone.

Parent death is handled by `devstack.reaper`, one small process that holds a pipe from the parent and kills
the remaining trees when the pipe closes. PR_SET_PDEATHSIG is not used: it fires when the starting *thread*
ends, and the stack starts its parts from short-lived threads; besides, only Linux has it.
"""

import atexit
import contextlib
import os
import pwd
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM, Signals

from devstack.process_tree import freeze_tree, kill_tree, thaw_tree
from devstack.reaper import REAPER

PROJECT_ROOT = Path(__file__).resolve().parent.parent
POLL_S = 0.02
LOG_TAIL_BYTES = 2_000


class StartFailed(Exception):
    """A part of the stack did not come up; the text says which, why, and shows the end of its log."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: argv, where its output goes, and as whom.

    `user` is a system user to become (only root can), `env` replaces the whole environment when given.
    `keeps_pipes` leaves stdin open and stdout readable by `Child.first_line`; else stdout goes to the log.
    """

    name: str
    argv: Sequence[str | Path]
    log: Path
    cwd: Path = PROJECT_ROOT
    user: str | None = None
    env: Mapping[str, str] | None = None
    keeps_pipes: bool = False


class Child:
    """One running process and its descendants. Built by `spawn`."""

    def __init__(self, command: Command, process: subprocess.Popen[bytes]) -> None:
        """Wrap a process that was just started and is already known to the reaper."""
        self.command = command
        self._process = process
        self._frozen = False

    @property
    def name(self) -> str:
        """The name used in messages and log files."""
        return self.command.name

    @property
    def pid(self) -> int:
        """The process id of the tree's root."""
        return self._process.pid

    def running(self) -> bool:
        """Whether the root process has not ended (a frozen process counts as running)."""
        if self._process.poll() is None:
            return True
        self._forget()
        return False

    def first_line(self, timeout_s: float) -> str:
        """The first line the child prints on stdout; raises StartFailed at its end or after `timeout_s`."""
        stdout = self._process.stdout
        assert stdout is not None, "the command was not started with keeps_pipes"
        lines: list[bytes] = []
        reader = threading.Thread(target=lambda: lines.append(stdout.readline()), daemon=True)
        reader.start()
        reader.join(timeout_s)
        if not lines or not lines[0]:
            raise StartFailed(f"{self.name} printed nothing within {timeout_s:g} s.{self.log_tail()}")
        return lines[0].decode()

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Poll `ready` until it is true; raises StartFailed when the child ends or time runs out."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.running():
                code = self._process.returncode
                raise StartFailed(f"{self.name} ended with code {code} while starting.{self.log_tail()}")
            if time.monotonic() > deadline:
                raise StartFailed(f"{self.name} was not ready after {timeout_s:g} s.{self.log_tail()}")
            time.sleep(POLL_S)

    def wait(self, timeout_s: float) -> int | None:
        """The exit code once the root has ended, or None after `timeout_s`."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        self._forget()
        return code

    def send(self, number: Signals) -> None:
        """Send one signal to the root, thawed first: a frozen process would not act on it."""
        if self._frozen:
            self.resume()
        if self.running():
            self._process.send_signal(number)

    def stop(self, with_signal: Signals = SIGTERM, *, timeout_s: float = 10.0) -> None:
        """Ask the root to end, wait up to `timeout_s`, then kill what is left of the tree."""
        self.send(with_signal)
        self.wait(timeout_s)
        self.kill()

    def kill(self) -> None:
        """SIGKILL the whole tree at once, as a crash of the machine would; safe to call twice."""
        if self.running():
            kill_tree(self.pid)
            self._process.wait()
        self._forget()
        self._frozen = False
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def pause(self) -> None:
        """SIGSTOP the whole tree: connections stay open and nothing answers."""
        freeze_tree(self.pid)
        self._frozen = True

    def resume(self) -> None:
        """SIGCONT the whole tree after `pause`."""
        thaw_tree(self.pid)
        self._frozen = False

    def _forget(self) -> None:
        REAPER.forget(self.pid)
        atexit.unregister(self.kill)

    def log_tail(self) -> str:
        """The end of the child's log as lines to append to a message; empty when there is none."""
        with contextlib.suppress(OSError):
            text = self.command.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
            return f" The end of {self.command.log}:\n{text}" if text else ""
        return ""


def spawn(command: Command) -> Child:
    """Start a command in its own session with its output appended to `command.log`.

    Raises StartFailed when the program cannot be executed.
    """
    command.log.parent.mkdir(parents=True, exist_ok=True)
    REAPER.ensure_started()
    with command.log.open("ab") as log:
        try:
            process = subprocess.Popen(
                [str(part) for part in command.argv],
                stdin=subprocess.PIPE if command.keeps_pipes else subprocess.DEVNULL,
                stdout=subprocess.PIPE if command.keeps_pipes else log,
                stderr=log,
                cwd=command.cwd,
                env=command.env,
                user=command.user,
                group=_primary_group(command.user),
                extra_groups=[] if command.user else None,
                start_new_session=True,
            )
        except OSError as error:
            raise StartFailed(f"{command.name} could not be started: {error}") from error
    child = Child(command, process)
    REAPER.remember(process.pid)
    atexit.register(child.kill)
    return child


def python_module(module: str, *arguments: str) -> list[str]:
    """The argv that runs one of the project's own modules with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def _primary_group(user: str | None) -> int | None:
    if user is None:
        return None
    return pwd.getpwnam(user).pw_gid


def end_with_stdin() -> None:
    """End this process when its stdin is closed: by whoever started it, by intent or by dying.

    For the stack's own servers (`Command.keeps_pipes`), which have nothing to clean up.
    """

    def read_to_end() -> None:
        while os.read(0, 4096):
            pass
        os._exit(0)

    threading.Thread(target=read_to_end, daemon=True).start()
