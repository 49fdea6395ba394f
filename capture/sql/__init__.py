"""Capture's SQL: one statement a file, its first line a sentence."""

from functools import cache
from importlib import resources
from typing import LiteralString


@cache
def statement(name: str) -> LiteralString:
    """The statement in `<name>.sql`."""
    # A file of this package is as trusted as a literal in it.
    return resources.files("capture.sql").joinpath(f"{name}.sql").read_text(encoding="utf-8")
