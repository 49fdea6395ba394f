"""Waiting for a broker or a database at start: a message every few seconds, then a sentence and exit code 7.

The loop takes its clock and its sleep as arguments. What one attempt is comes from the caller (`database_answers`
and `broker_answers` in `ops.database` and `ops.cluster`): it returns None when the dependency answers, else why not.
"""

import time
from collections.abc import Callable

from ops.errors import DependencyUnavailable

_RETRY_EVERY_S = 0.5
_SAY_EVERY_S = 5.0


def wait_until(
    what: str,
    attempt: Callable[[], str | None],
    *,
    timeout_s: float,
    setting: str,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Call `attempt` until it returns None.

    Args:
        what: the dependency with its address, e.g. `the Kafka broker at 127.0.0.1:9092`.
        attempt: returns why the dependency cannot be used yet, or None.
        timeout_s: how long to try; there is always one attempt.
        setting: the key that an operator would change, named in the last sentence.
        say: receives a sentence for people, at first failure and then every five seconds.

    Raises:
        DependencyUnavailable: still failing after `timeout_s`.
    """
    started_s = clock()
    last_said_s: float | None = None
    while (reason := attempt()) is not None:
        waited_s = clock() - started_s
        if waited_s >= timeout_s:
            raise DependencyUnavailable(
                f"{what} did not answer within {timeout_s:g} s: {reason}. Check {setting}, or wait longer with "
                "START_TIMEOUT_S."
            )
        if last_said_s is None or clock() - last_said_s >= _SAY_EVERY_S:
            say(f"waiting for {what} ({waited_s:.0f} of {timeout_s:g} s): {reason}")
            last_said_s = clock()
        sleep(min(_RETRY_EVERY_S, max(0.0, timeout_s - waited_s)))
