"""What a check found. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is, best first."""

    OK = "ok"
    INFO = "info"
    NOT_CONFIGURED = "not_configured"
    WARNING = "warning"
    DEGRADED = "degraded"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor: what was looked at, what is so, and what to do where that is not good."""

    check: str
    level: Level
    cause: str
    fix: str = ""


def ok(check: str, cause: str) -> Finding:
    """Nothing to do."""
    return Finding(check, Level.OK, cause)


def warning(check: str, cause: str, fix: str) -> Finding:
    """Works, but should be changed before somebody relies on it."""
    return Finding(check, Level.WARNING, cause, fix)


def degraded(check: str, cause: str, fix: str) -> Finding:
    """Something does not work, or soon will not."""
    return Finding(check, Level.DEGRADED, cause, fix)


def not_configured(check: str, setting: str) -> Finding:
    """A part without an address: no fault by itself."""
    return Finding(
        check, Level.NOT_CONFIGURED, f"{setting} is not set", f"set {setting}, or try everything with ./bongsu demo"
    )


def needs_attention(findings: Iterable[Finding], *, strict: bool) -> bool:
    """True when the exit code must say so: anything degraded, with `strict` also any warning."""
    bad = {Level.DEGRADED, Level.WARNING} if strict else {Level.DEGRADED}
    return any(finding.level in bad for finding in findings)
