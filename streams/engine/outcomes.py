"""What a handler may answer, and what the engine does with it.

| the handler | the engine |
|---|---|
| returns `Handled(refusals)` | writes the refusals as dead letters, then acknowledges the batch |
| raises `Transient` | gives it the same batch again after a back-off; the partition waits, heartbeats go on |
| raises `Poison` | halves the batch down to single records, dead-letters those which still raise it, goes on |
| raises anything else | logs the stack, ends the process non-zero; the offset has not moved |

A handler that raises must have done nothing that cannot be done again: it sees the same records later, perhaps in other
batches. Pure.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from schemas.errors import Reason
from streams.engine.batch import Record, RecordBatch


@dataclass(frozen=True, slots=True)
class Refusal:
    """One record that the handler will never accept.

    Attributes:
        record: the record as it was given.
        reason: a `schemas.errors.Reason` value.
        error: one sentence for the operator.
        source_identity: what it was made from (event_id or `table#primary key`), None where the bytes tell none.
    """

    record: Record
    reason: str
    error: str
    source_identity: str | None


@dataclass(frozen=True, slots=True)
class Handled:
    """The batch is done, but for the records in `refusals`."""

    refusals: tuple[Refusal, ...] = ()


class Transient(Exception):
    """The world is not ready (database down, broker busy): the same batch may succeed later.

    Attributes:
        retry_after_s: a wait the other side asked for; the engine waits at least that long. None: back-off decides.
    """

    def __init__(self, detail: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Poison(Exception):
    """Some record of this batch can never succeed, and the handler cannot tell which.

    Attributes:
        reason: reason code of the dead letter.
        source_identity: as in `Refusal`; used when the batch has come down to one record.
    """

    def __init__(self, detail: str, *, reason: str = Reason.POISON.value, source_identity: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.source_identity = source_identity


Handler = Callable[[RecordBatch], Awaitable[Handled]]
"""One role's work on one topic. Never called concurrently with itself in one process."""
