"""Whether a child process that ended is started again, and when. Pure: time is an argument.

A process that ends without being asked is started again with a delay that doubles; one that keeps ending is
in a crash loop and is left alone, so that its log stays readable and the others keep their CPU. An exit code
that only a person can repair (usage, configuration) is not repeated at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ops.exit_codes import ExitCode

_NEEDS_A_PERSON = frozenset({int(ExitCode.USAGE), int(ExitCode.CONFIGURATION)})


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """The figures of the decision; all times in seconds."""

    first_delay_s: float = 0.5
    longest_delay_s: float = 30.0
    loop_exits: int = 5
    loop_window_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Restart:
    """Start it again after `delay_s`."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class CrashLoop:
    """It ended `exits` times within `window_s`; leave it alone and say so."""

    exits: int
    window_s: float


@dataclass(frozen=True, slots=True)
class Refused:
    """It says itself that starting again cannot help."""

    exit_code: int


Decision = Restart | CrashLoop | Refused


def decide(exit_times_s: Sequence[float], exit_code: int, policy: RestartPolicy) -> Decision:
    """Decide about the last exit.

    `exit_times_s` are the times of all unasked exits on one monotonic clock, oldest first, the last one being the
    exit at hand; `exit_code` is that exit's (negative for a signal). Exits outside the window are forgotten, so a
    process that ran well for a minute starts again at the first delay.
    """
    if exit_code in _NEEDS_A_PERSON:
        return Refused(exit_code)
    now_s = exit_times_s[-1]
    recent = sum(1 for time_s in exit_times_s if now_s - time_s < policy.loop_window_s)
    if recent >= policy.loop_exits:
        return CrashLoop(recent, policy.loop_window_s)
    return Restart(min(policy.longest_delay_s, policy.first_delay_s * 2.0 ** (recent - 1)))
