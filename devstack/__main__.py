"""`python -m devstack demo ...`: what the `bongsu` script runs for `./bongsu demo`."""

import sys

from devstack.demo.signals import ignore_until_exit
from ops.exit_codes import ExitCode


def main() -> int:
    """Run the command line; Ctrl-C ends quietly even while modules are still being imported."""
    try:
        from devstack.demo.cli import run  # noqa: PLC0415 -- importing takes long enough to be interrupted

        return run(sys.argv[1:])
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    finally:
        # All is stopped: an impatient second Ctrl-C must not change the exit code or print a traceback.
        ignore_until_exit()


if __name__ == "__main__":
    sys.exit(main())
