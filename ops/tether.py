"""Runs a command that the kernel kills when the process that started it dies (Linux).

Started as a script in front of the real command: `python -I -S ops/tether.py PARENT_PID COMMAND...`. It asks the
kernel for a death signal (which survives exec) and becomes the command. A script of its own instead of Popen's
preexec_fn, because Python between fork and exec can deadlock in a program with threads. Standard library only,
no imports of the project: it must start at once. Elsewhere than on Linux it only becomes the command.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Tie this process to its parent's life, then exec. Ends by SIGKILL when the parent is gone already."""
    parent, command = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            # The parent died before the request was in place: no signal will come any more.
            os.kill(os.getpid(), signal.SIGKILL)
    try:
        os.execvp(command[0], command)  # noqa: S606 -- an argument list, and no shell is meant
    except OSError as error:
        sys.exit(f"{command[0]} cannot be started: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
