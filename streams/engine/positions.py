"""Delivery and commit positions of the engine's partitions.

Stock Faust's bookkeeping loses records or stops committing after a rebalance (reference/stream-engine.md §4.1), so for
sliced topics this ledger decides alone what may be handed to a handler and what may be committed. Pure: no Faust, no
clock; the transport carries out what is decided here.

Invariants, for every partition and one ownership:
- a slice is handed over only if it begins where the last one ended; records below that are cut off;
- what is committed never passes a record that is not acknowledged.

Each seek gets a token, and a slice carries the token of the seek it was fetched after: slices that were under way when
the position changed are known by their old token and dropped.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple


class Partition(NamedTuple):
    """A topic and partition; equal to Faust's `TP` and aiokafka's `TopicPartition` of the same fields."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Span:
    """The stretch of a log that one fetched slice covers.

    Attributes:
        first_offset: where the reader stood before the fetch; holes that Kafka skipped lie inside the span.
        next_offset: where it stood after.
        token: the seek that the fetch followed.
        rewound: the log went backwards under the reader (topic re-created, unclean election): what stands at these
            offsets now was never read.
    """

    first_offset: int
    next_offset: int
    token: int
    rewound: bool = False


@dataclass(frozen=True, slots=True)
class Take:
    """Hand the records at and above `from_offset` to the handler; acknowledge with `ticket`."""

    from_offset: int
    ticket: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Fetched before the last seek, or delivered already: nothing is lost by dropping it."""


@dataclass(frozen=True, slots=True)
class SeekBack:
    """The slice begins after the next offset wanted: drop it and fetch again from `offset`, never go on."""

    offset: int
    token: int


Delivery = Take | Drop | SeekBack


@dataclass(slots=True)
class _Slice:
    ticket: int
    next_offset: int
    acknowledged: bool = False


@dataclass(slots=True)
class _Ledger:
    """One partition while it is owned; offsets are None until the first seek is done."""

    token: int
    delivered: int | None = None
    acknowledged: int | None = None
    committed: int | None = None
    outstanding: deque[_Slice] = field(default_factory=deque)


class Positions:
    """The ledger of all partitions that this process owns."""

    def __init__(self) -> None:
        self._ledgers: dict[Partition, _Ledger] = {}
        self._tickets: dict[int, tuple[_Ledger, _Slice]] = {}
        self._counter = 0

    def own(self, partitions: Iterable[Partition]) -> None:
        """Begin an ownership: nothing is delivered until `start` has told where the partition begins."""
        for partition in partitions:
            self.give_up([partition])
            self._ledgers[partition] = _Ledger(token=self._next())

    def give_up(self, partitions: Iterable[Partition]) -> None:
        """End an ownership: what was not acknowledged is another's work, later acknowledgements change nothing."""
        for partition in partitions:
            ledger = self._ledgers.pop(partition, None)
            if ledger is not None:
                self._forget_outstanding(ledger)

    def owned(self) -> frozenset[Partition]:
        """Partitions with a ledger."""
        return frozenset(self._ledgers)

    def new_token(self, partition: Partition) -> int:
        """The token of a seek about to be made; slices fetched before it are dropped from now on.

        Raises:
            KeyError: the partition is not owned.
        """
        ledger = self._ledgers[partition]
        ledger.token = self._next()
        return ledger.token

    def start(self, partition: Partition, offset: int, committed: int | None) -> None:
        """The seek that begins an ownership is done: the next slice begins at `offset`.

        Changes nothing if the ownership began already (the position is then the ledger's own) or has ended.
        """
        ledger = self._ledgers.get(partition)
        if ledger is not None and ledger.delivered is None:
            ledger.delivered = ledger.acknowledged = offset
            ledger.committed = committed

    def wanted(self, partition: Partition) -> int | None:
        """Offset at which the next slice must begin; None before `start` or when not owned."""
        ledger = self._ledgers.get(partition)
        return None if ledger is None else ledger.delivered

    def acknowledged(self, partition: Partition) -> int | None:
        """Everything below is done; None before `start` or when not owned."""
        ledger = self._ledgers.get(partition)
        return None if ledger is None else ledger.acknowledged

    def outstanding(self, partition: Partition) -> int:
        """Slices delivered and not yet acknowledged."""
        ledger = self._ledgers.get(partition)
        return 0 if ledger is None else len(ledger.outstanding)

    def deliver(self, partition: Partition, span: Span) -> Delivery:
        """Decide what becomes of a slice that has come from the fetcher."""
        ledger = self._ledgers.get(partition)
        if ledger is None or ledger.delivered is None or span.token != ledger.token:
            return Drop()
        if span.rewound:
            self._restart(ledger, span.first_offset)
        if span.first_offset > ledger.delivered:
            return SeekBack(ledger.delivered, self.new_token(partition))
        if span.next_offset <= ledger.delivered:
            return Drop()
        return self._hand_over(ledger, span)

    def acknowledge(self, ticket: int) -> bool:
        """The slice behind the ticket is done. False: its ownership has ended, or it was acknowledged before."""
        entry = self._tickets.pop(ticket, None)
        if entry is None:
            return False
        ledger, done = entry
        done.acknowledged = True
        while ledger.outstanding and ledger.outstanding[0].acknowledged:
            ledger.acknowledged = ledger.outstanding.popleft().next_offset
        return True

    def committable(self, partition: Partition) -> int | None:
        """Offset to commit now; None if there is nothing new."""
        ledger = self._ledgers.get(partition)
        if ledger is None or ledger.acknowledged is None:
            return None
        # A partition without a commit gets one at its start, before anything is acknowledged: lag can be told from it,
        # and a log that was re-created is not skipped up to its old end after a restart.
        floor = ledger.committed if ledger.committed is not None else -1
        return ledger.acknowledged if ledger.acknowledged > floor else None

    def commit_done(self, partition: Partition, offset: int) -> None:
        """Kafka has taken a commit at `offset`; one from an earlier ownership is told by lying above what is known."""
        ledger = self._ledgers.get(partition)
        if ledger is None or ledger.acknowledged is None or offset > ledger.acknowledged:
            return
        ledger.committed = offset if ledger.committed is None else max(ledger.committed, offset)

    def _hand_over(self, ledger: _Ledger, span: Span) -> Take:
        assert ledger.delivered is not None
        from_offset = ledger.delivered
        entry = _Slice(ticket=self._next(), next_offset=span.next_offset)
        ledger.outstanding.append(entry)
        ledger.delivered = span.next_offset
        self._tickets[entry.ticket] = (ledger, entry)
        return Take(from_offset, entry.ticket)

    def _restart(self, ledger: _Ledger, offset: int) -> None:
        self._forget_outstanding(ledger)
        ledger.delivered = ledger.acknowledged = offset
        ledger.committed = None

    def _forget_outstanding(self, ledger: _Ledger) -> None:
        for entry in ledger.outstanding:
            self._tickets.pop(entry.ticket, None)
        ledger.outstanding.clear()

    def _next(self) -> int:
        self._counter += 1
        return self._counter
