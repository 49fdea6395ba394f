"""What the exit code of a Bongsu process means.

Every verb and every long-running process ends with one of these and nothing else, so that a script, a
supervisor or a container runtime can tell "try again" (7) from "a person must change something" (3).
Codes 4 to 8 are never used for anything but what stands here.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """The closed list of exit codes; `meaning` is the sentence that `--help` and the docs print."""

    meaning: str

    OK = 0, "done, or nothing to do"
    FAILED = 1, "failed for a reason that no other code covers"
    USAGE = 2, "the command line was not understood"
    CONFIGURATION = 3, "a setting is wrong or missing; starting again without changing it cannot help"
    NOT_FOUND = 4, "the record, topic or role that was asked for does not exist"
    CONFLICT = 6, "somebody else holds what is needed (slot taken, group active, port in use)"
    UNAVAILABLE = 7, "the broker, the database or the schema registry did not answer in time"
    DEGRADED = 8, "doctor found something that needs attention"
    INTERRUPTED = 130, "stopped by Ctrl-C"

    def __new__(cls, value: int, meaning: str) -> "ExitCode":
        """Make the member from its number and the sentence that explains it."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


def table() -> str:
    """All codes with their meaning, one per line, for help texts."""
    return "\n".join(f"  {int(code):>3}  {code.meaning}" for code in ExitCode)
