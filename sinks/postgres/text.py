"""Makes any text fit for a PostgreSQL column. Pure."""

from typing import Final

ERROR_CHARACTERS: Final = 1000
"""Longest error kept in a row: enough for a sentence and a cause, too little to bloat a queue table."""


def storable(text: str, limit: int = ERROR_CHARACTERS) -> str:
    r"""The text without what PostgreSQL cannot hold (U+0000, lone surrogates), cut to `limit` characters.

    >>> storable("a\x00b")
    'a\\x00b'
    """
    visible = text.replace("\x00", "\\x00")
    return visible.encode("utf-8", "backslashreplace").decode("utf-8")[:limit]
