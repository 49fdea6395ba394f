"""The process that ends what a dead parent left behind.

The parent writes `+pid` and `-pid` lines into the reaper's stdin. When the parent ends, however it ends,
the kernel closes that pipe; the reaper then kills every tree still listed and ends. It ignores the
terminal's Ctrl-C, being in its own session.
"""

import atexit
import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

from devstack.process_tree import kill_tree


class Reaper:
    """This process's link to its reaper; the reaper starts with the first child."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ensure_started(self) -> None:
        """Start the reaper unless it already runs."""
        with self._lock:
            if self._process is None:
                # -S: the reaper needs no installed package and should be ready before the first child is.
                self._process = subprocess.Popen(
                    [sys.executable, "-S", "-m", "devstack.reaper"],
                    stdin=subprocess.PIPE,
                    cwd=Path(__file__).parent.parent,
                    start_new_session=True,
                )
                atexit.register(self._dismiss)

    def remember(self, pid: int) -> None:
        """Have this tree killed if we die."""
        self._tell(f"+{pid}\n")

    def forget(self, pid: int) -> None:
        """Say that this process has ended, so that a reused pid is never hit."""
        self._tell(f"-{pid}\n")

    def _tell(self, line: str) -> None:
        with self._lock, contextlib.suppress(BrokenPipeError):
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.write(line.encode())
                self._process.stdin.flush()

    def _dismiss(self) -> None:
        # Registered before any child's own exit handler, hence run after all: nothing is left to kill.
        if self._process is not None:
            self._process.communicate()


REAPER = Reaper()


def surviving(lines: Iterable[str]) -> set[int]:
    """The pids announced with `+` and not withdrawn with `-`."""
    pids: set[int] = set()
    for line in lines:
        sign, pid = line[0], int(line[1:])
        (pids.add if sign == "+" else pids.discard)(pid)
    return pids


def main() -> None:
    """Read until the parent is gone, then kill what it left."""
    for pid in surviving(sys.stdin):
        kill_tree(pid)


if __name__ == "__main__":
    main()
