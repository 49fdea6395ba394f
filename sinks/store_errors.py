"""What a store says when it cannot do what it was asked; `streams` turns these into the engine's classes.

Two answers only, because a caller can do two things only: ask again later, or take the records apart. Whatever is
neither is a defect and passes through as it came, so that the process ends with its offset unmoved (design.md §5).
"""


class StoreError(Exception):
    """The store did not do what it was asked.

    Attributes:
        sqlstate: the database's five-character code, None when the connection itself failed.
        detail: one sentence for the operator.
    """

    def __init__(self, sqlstate: str | None, detail: str) -> None:
        super().__init__(f"{sqlstate or 'connection'}: {detail}")
        self.sqlstate = sqlstate
        self.detail = detail


class StoreUnavailable(StoreError):
    """The store cannot be reached or gave way to another transaction: the same request may succeed later."""


class StoreRefused(StoreError):
    """The store refused the content of the request: it will refuse it again."""
