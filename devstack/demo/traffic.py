"""The traffic of a demo: walks the plan, feeds writers and sender, and keeps the ledger of what was written."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from uuid import UUID

from devstack.demo.ledger import Repeat, SpoiledRecord, SpoiledRow, Via, Written, WrittenEvent
from devstack.demo.plan import WRITERS, Send, SendKind, Step, Transaction
from devstack.demo.sender import Sender
from devstack.demo.writers import Writer
from topics.registry import ACTIVITY_EVENTS


class Bookkeeper:
    """The ledger of what was written, filled from the threads that wrote it.

    Args:
        keep: false for a run without end, which nobody adds up: only the counts are kept.
    """

    def __init__(self, *, keep: bool) -> None:
        self.written = Written()
        self.rows = 0
        self.records = 0
        self._keep = keep
        self._lock = threading.Lock()
        self._sequences: Counter[tuple[Via, str]] = Counter()

    def committed(self, transaction: Transaction) -> None:
        """Note the rows of a transaction that is in the database."""
        with self._lock:
            self.rows += len(transaction.drafts)
            if not self._keep:
                return
            for draft in transaction.drafts:
                if draft.spoiled is None:
                    self._event(draft.event_id, draft.event_name, draft.partition_key, draft.member_id, Via.OUTBOX)
                else:
                    self.written.spoiled_rows.append(SpoiledRow(draft.event_id, draft.spoiled))

    def sent(self, send: Send, partition: int, offset: int) -> None:
        """Note a record that Kafka acknowledged."""
        draft = send.draft
        with self._lock:
            self.records += 1
            if not self._keep:
                return
            match send.kind:
                case SendKind.NEW:
                    self._event(draft.event_id, draft.event_name, draft.partition_key, draft.member_id, Via.TOPIC)
                case SendKind.SPOILED:
                    assert draft.spoiled is not None
                    self.written.spoiled_records.append(
                        SpoiledRecord(ACTIVITY_EVENTS, partition, offset, draft.spoiled)
                    )
                case SendKind.REPEAT | SendKind.CONFLICT:
                    differs = send.kind is SendKind.CONFLICT
                    self.written.repeats.append(Repeat(draft.event_id, ACTIVITY_EVENTS, partition, offset, differs))

    def _event(self, event_id: UUID, name: str, key: str, member_id: int | None, via: Via) -> None:
        self.written.events.append(WrittenEvent(event_id, name, key, member_id, via, self._sequences[via, key]))
        self._sequences[via, key] += 1


class Traffic:
    """A run of the plan.

    Args:
        steps: the plan.
        make_writer: builds a writer that reports to the given callback.
        make_sender: builds the sender likewise.
        books: told of everything that was written.
        rows_per_s: how fast to go; None for as fast as the writers can.
    """

    def __init__(
        self,
        steps: Iterator[Step],
        make_writer: Callable[[Callable[[Transaction], None]], Writer],
        make_sender: Callable[[Callable[[Send, int, int], None]], Sender],
        books: Bookkeeper,
        *,
        rows_per_s: float | None,
    ) -> None:
        self._steps = steps
        self._rows_per_s = rows_per_s
        self._writers = [make_writer(books.committed) for _ in range(WRITERS)]
        self._sender = make_sender(books.sent)
        self._parts: list[Writer | Sender] = [self._sender, *self._writers]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._walk, name="traffic", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finished(self) -> bool:
        """Whether the plan is walked to its end and everything in it was written."""
        return not self._thread.is_alive() and all(part.join(0) for part in self._parts)

    def failures(self) -> list[str]:
        """What could not be written, as sentences."""
        return list(self._sender.failures)

    def stop(self) -> None:
        """Stop writing soon; what is not yet written is given up."""
        self._stopping.set()
        for part in self._parts:
            part.stop()
        for part in self._parts:
            part.join(5)

    def _walk(self) -> None:
        started_s, rows = time.monotonic(), 0
        for step in self._steps:
            if self._stopping.is_set():
                return
            if isinstance(step, Send):
                self._sender.put(step)
                continue
            self._writers[step.writer].put(step)
            rows += len(step.drafts)
            if self._rows_per_s is not None:
                ahead_s = rows / self._rows_per_s - (time.monotonic() - started_s)
                self._stopping.wait(max(0.0, ahead_s))
        for part in self._parts:
            part.finish()
