"""`python -m ops VERB ...`: what the `bongsu` script runs for every verb but demo, test and check."""

import sys

from ops.exit_codes import ExitCode

try:
    from ops.cli.root import root as main
    from ops.cli.root import run
except KeyboardInterrupt:
    # Ctrl-C while modules are still being imported ends as quietly as later.
    sys.exit(ExitCode.INTERRUPTED)

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
