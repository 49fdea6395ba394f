"""Loads the .sql files beside this module, with the one identifier that a deployment may choose put in."""

from functools import cache
from importlib import resources

from psycopg import sql

DISPATCH_TARGET_COLUMNS = ("dispatch_target", "sink_type")
"""The two names that the runbook knows for the dispatch outbox's target column (001 L178-196)."""


@cache
def statement(name: str, *, target_column: str = "dispatch_target") -> sql.Composed:
    """The statement in `<name>.sql`; `{target_column}` in it becomes the dispatch outbox's target column.

    Raises:
        ValueError: the column is neither of the two that the runbook knows.
    """
    if target_column not in DISPATCH_TARGET_COLUMNS:
        raise ValueError(f"the target column is {target_column!r}; one of {DISPATCH_TARGET_COLUMNS} was expected")
    text = resources.files("sinks.postgres").joinpath(f"{name}.sql").read_text(encoding="utf-8")
    return sql.SQL(text).format(target_column=sql.Identifier(target_column))
