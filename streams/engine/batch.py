"""What a handler is given: the records of one fetched partition slice, in log order.

Pure. A batch also says which stretch of the log it covers: `[first_offset, next_offset)` can be longer than the records
in it, because compaction, aborted transactions and control records leave holes that Kafka itself skips.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol


class Record(Protocol):
    """One Kafka record as aiokafka's `ConsumerRecord` shows it; `timestamp` is Unix ms."""

    @property
    def topic(self) -> str:
        """Topic that the record stands in."""
        ...

    @property
    def partition(self) -> int:
        """Partition that the record stands in."""
        ...

    @property
    def offset(self) -> int:
        """Position in the partition."""
        ...

    @property
    def timestamp(self) -> int:
        """Create or append time, Unix ms."""
        ...

    @property
    def key(self) -> bytes | None:
        """The key's bytes."""
        ...

    @property
    def value(self) -> bytes | None:
        """The value's bytes; None is a tombstone."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """Headers in their order."""
        ...


@dataclass(frozen=True, slots=True)
class PlainRecord:
    """A record made by hand: for the test driver and for tests."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Records of one partition, in log order.

    Attributes:
        topic, partition: where they stand.
        records: the records, at least one.
        first_offset: first offset covered; no record at or above it and below `records[0]` exists in the log.
        next_offset: offset after the last one covered; what is committed once the batch is done.
        generation: the consumer group's generation in which the slice was fetched: a guard for writes that outlive
            the ownership of the partition, never a reason to skip a batch.
    """

    topic: str
    partition: int
    records: Sequence[Record]
    first_offset: int
    next_offset: int
    generation: int

    def __len__(self) -> int:
        return len(self.records)

    def starting_at(self, offset: int) -> "RecordBatch":
        """The part of the batch at and above `offset`; the batch itself when nothing lies below."""
        if offset <= self.first_offset:
            return self
        kept = tuple(record for record in self.records if record.offset >= offset)
        return replace(self, records=kept, first_offset=offset)

    def halves(self) -> "tuple[RecordBatch, RecordBatch]":
        """The batch cut in two, in order; needs at least two records."""
        middle = len(self.records) // 2
        cut = self.records[middle].offset
        left = replace(self, records=self.records[:middle], next_offset=cut)
        right = replace(self, records=self.records[middle:], first_offset=cut)
        return left, right
