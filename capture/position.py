"""What may be confirmed to PostgreSQL; pure.

The server forgets a transaction once its end is confirmed, so a position is confirmed only when that
transaction and all before it are acknowledged by Kafka, record by record (debezium-contract.md §8.3 rule 2).
Law, tested by hypothesis: under any interleaving of commits, acknowledgements and keepalives the confirmed
position stays below the end of every transaction that has an unacknowledged record. One `Position` serves one
run of the stream: acknowledgements that arrive after a restart reach the old one and change nothing.
"""

from collections import deque


class Transaction:
    """One transaction in flight, from BEGIN until all of its records are acknowledged."""

    __slots__ = ("_position", "end_lsn", "unacknowledged")

    def __init__(self, position: "Position") -> None:
        self._position = position
        self.end_lsn: int | None = None
        self.unacknowledged = 0

    def sent(self) -> None:
        """A record of this transaction was handed to the producer."""
        self.unacknowledged += 1

    def acknowledged(self) -> None:
        """Kafka acknowledged one record of this transaction.

        Raises:
            ValueError: more acknowledgements than records.
        """
        if self.unacknowledged == 0:
            raise ValueError("a record was acknowledged that was not sent")
        self.unacknowledged -= 1
        if self.unacknowledged == 0 and self.end_lsn is not None:
            self._position.settle()

    def committed(self, end_lsn: int) -> None:
        """The transaction is whole: no further record will be sent for it."""
        self.end_lsn = end_lsn
        if self.unacknowledged == 0:
            self._position.settle()


class Position:
    """The confirmed position and the transactions that hold it back, oldest first.

    Attributes:
        confirmed: the LSN that PostgreSQL may forget up to; never decreases.
    """

    __slots__ = ("_outstanding", "confirmed")

    def __init__(self, confirmed: int) -> None:
        self.confirmed = confirmed
        self._outstanding: deque[Transaction] = deque()

    @property
    def outstanding(self) -> int:
        """How many transactions are open or not wholly acknowledged."""
        return len(self._outstanding)

    def begin(self) -> Transaction:
        """A transaction starts; they come in commit order, one after the other."""
        transaction = Transaction(self)
        self._outstanding.append(transaction)
        return transaction

    def reached(self, wal_end: int) -> None:
        """The server has nothing of interest before `wal_end` (keepalive, heartbeat).

        Counts only while nothing is outstanding: it says nothing about records on their way to Kafka.
        """
        if not self._outstanding and wal_end > self.confirmed:
            self.confirmed = wal_end

    def settle(self) -> None:
        """Confirm the wholly acknowledged transactions at the head of the line."""
        line = self._outstanding
        while line and line[0].end_lsn is not None and line[0].unacknowledged == 0:
            end_lsn = line.popleft().end_lsn
            if end_lsn is not None and end_lsn > self.confirmed:
                self.confirmed = end_lsn
