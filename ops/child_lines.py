"""Lines of child processes as one readable stream: the process's name in its colour, its record in words. Pure.

Children of `up` and of the demo log JSON, whatever the terminal is; whoever shows their lines turns them into this.
"""

import json
import zlib

from ops.logs import console_line

_COLOURS = (36, 32, 35, 34, 96, 92, 95, 94)
_NAME_WIDTH = 8


def prefix(name: str, *, colour: bool) -> str:
    """`push     | `, always in the same colour for the same name."""
    text = f"{name:<{_NAME_WIDTH}}"
    if not colour:
        return f"{text} | "
    return f"\x1b[{_COLOURS[zlib.crc32(name.encode()) % len(_COLOURS)]}m{text} |\x1b[0m "


def readable(name: str, line: str, *, colour: bool) -> str:
    """One line of a child for a terminal; what is no log record is shown as it is."""
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict) or "event" not in record or "severity" not in record:
        return prefix(name, colour=colour) + line
    return prefix(name, colour=colour) + console_line(record, colour=colour, with_role=False)
