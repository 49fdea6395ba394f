"""A process and all its descendants, as one thing to freeze, thaw and kill (POSIX only).

Uses nothing but the standard library, because the reaper imports it and has to start at once.
"""

import contextlib
import os
import signal
import subprocess
from collections import defaultdict
from pathlib import Path

_PROC = Path("/proc")


def freeze_tree(root: int) -> None:
    """SIGSTOP the root first, so that it starts nothing new, then every descendant until none is new."""
    frozen: set[int] = set()
    while new := {root, *descendants(root)} - frozen:
        for pid in sorted(new, key=lambda pid: pid != root):
            _signal(pid, signal.SIGSTOP)
        frozen |= new


def thaw_tree(root: int) -> None:
    """SIGCONT the descendants, then the root."""
    for pid in (*descendants(root), root):
        _signal(pid, signal.SIGCONT)


def kill_tree(root: int) -> None:
    """SIGKILL the root and every descendant, frozen before so that none escapes by forking."""
    freeze_tree(root)
    for pid in (*descendants(root), root):
        _signal(pid, signal.SIGKILL)


def descendants(root: int) -> list[int]:
    """The pids of all living descendants, children before grandchildren."""
    children = defaultdict(list)
    for pid, parent in _parents():
        children[parent].append(pid)
    found: list[int] = []
    front = [root]
    while front:
        front = [pid for parent in front for pid in children[parent]]
        found += front
    return found


def _parents() -> list[tuple[int, int]]:
    if (_PROC / "self" / "stat").exists():
        return [pair for entry in _PROC.iterdir() if entry.name.isdigit() for pair in _proc_parent(entry)]
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return [(int(pid), int(parent)) for pid, parent in (line.split() for line in table.splitlines())]


def _proc_parent(entry: Path) -> list[tuple[int, int]]:
    # The command name in the second field may hold spaces and brackets; the parent follows the last ")".
    with contextlib.suppress(OSError):
        after_name = (entry / "stat").read_text().rpartition(")")[2].split()
        return [(int(entry.name), int(after_name[1]))]
    return []


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
