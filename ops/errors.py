"""Failures that an operator can act on: each is a sentence and an exit code.

Raised anywhere below a verb, printed once by `ops.__main__` without a traceback. Anything else that escapes
is a defect of Bongsu and keeps its traceback.
"""

from ops.exit_codes import ExitCode


class OperatorError(Exception):
    """The command cannot go on; the text says why and what to do."""

    exit_code = ExitCode.FAILED


class ConfigError(OperatorError):
    """One or more settings are wrong; one sentence for each of them."""

    exit_code = ExitCode.CONFIGURATION

    def __init__(self, *sentences: str) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = sentences


class NotFound(OperatorError):
    """What was asked for does not exist."""

    exit_code = ExitCode.NOT_FOUND


class Conflict(OperatorError):
    """Somebody else holds what is needed."""

    exit_code = ExitCode.CONFLICT


class DependencyUnavailable(OperatorError):
    """A broker, database or registry did not answer in the time allowed."""

    exit_code = ExitCode.UNAVAILABLE
