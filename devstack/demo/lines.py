"""The output of the demo's processes: a log file for each, and the last lines for the view."""

import threading
from collections import deque
from pathlib import Path
from typing import Final

import orjson

_KEPT: Final = 200
_QUIET: Final = frozenset({"info", "debug"})


class Lines:
    """Takes every line of every process.

    Args:
        directory: where `<name>.log` files are written.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._last: deque[str] = deque(maxlen=_KEPT)

    def take(self, name: str, line: str) -> None:
        """Called from reader threads with each line."""
        with self._lock:
            with (self._directory / f"{name}.log").open("a", encoding="utf-8") as log:
                log.write(line + "\n")
            self._last.append(short(name, line))

    def last(self, count: int) -> list[str]:
        """The last lines, shortened for people."""
        with self._lock:
            return list(self._last)[-count:]


def short(name: str, line: str) -> str:
    """One log line for people: process, severity when it matters, event, message. Pure."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return f"{name}: {line}"
    if not isinstance(record, dict):
        return f"{name}: {line}"
    severity = str(record.get("severity", "info"))
    parts = [f"{name}:", "" if severity in _QUIET else severity.upper(), str(record.get("event", ""))]
    message = record.get("message") or record.get("error")
    return " ".join(part for part in (*parts, str(message) if message else "") if part)
