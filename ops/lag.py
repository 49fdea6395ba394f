"""Consumer lag in records and in seconds, slot lag in bytes. Pure: figures in, figures out.

Seconds by direct read (operations.md §1.2, method 2): the age of the record at the committed offset, which stays
right when the producer is idle. After retention or compaction the next surviving record is read instead, so the
figure is then a lower bound and `lost` says how many records retention took away unread.
"""

from collections.abc import Mapping
from dataclasses import dataclass

Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class PartitionOffsets:
    """What the cluster says about one partition for one group; `committed` is None before the first commit."""

    group: str
    topic: str
    partition: int
    committed: int | None
    low: int
    end: int


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """One row of `./bongsu lag`.

    `lag_s` is None when the record at the committed offset could not be read; `lost` counts records that
    retention removed before the group had read them.
    """

    group: str
    topic: str
    partition: int
    committed: int | None
    end: int
    lag: int
    lag_s: float | None
    lost: int


def next_offset(offsets: PartitionOffsets) -> int:
    """The offset the group reads next: its committed one, or the oldest there is (groups start at `earliest`)."""
    return offsets.low if offsets.committed is None else offsets.committed


def behind(offsets: PartitionOffsets) -> bool:
    """True when there is something to read."""
    return next_offset(offsets) < offsets.end


def partition_lag(offsets: PartitionOffsets, waiting_since_ms: int | None, now_ms: int) -> PartitionLag:
    """Lag of one partition.

    Args:
        offsets: committed, oldest and end offset.
        waiting_since_ms: timestamp of the record at the next offset, Unix ms; None when unknown.
        now_ms: Unix ms.
    """
    lag = max(0, offsets.end - next_offset(offsets))
    lost = max(0, offsets.low - offsets.committed) if offsets.committed is not None else 0
    lag_s: float | None = 0.0
    if lag:
        lag_s = None if waiting_since_ms is None else max(0.0, (now_ms - waiting_since_ms) / 1000)
    return PartitionLag(
        offsets.group, offsets.topic, offsets.partition, offsets.committed, offsets.end, lag, lag_s, lost
    )


def lags(
    offsets: list[PartitionOffsets], first_waiting_ms: Mapping[tuple[Partition, int], int], now_ms: int
) -> list[PartitionLag]:
    """Lag of every partition; `first_waiting_ms` maps ((topic, partition), next offset) to a timestamp."""
    return [
        partition_lag(one, first_waiting_ms.get(((one.topic, one.partition), next_offset(one))), now_ms)
        for one in offsets
    ]


def parse_lsn(text: str) -> int:
    """PostgreSQL's `16/B374D848` as a number of bytes. Raises ValueError for anything else."""
    high, slash, low = text.partition("/")
    if not slash:
        raise ValueError(f"{text!r} is no log sequence number")
    return (int(high, 16) << 32) + int(low, 16)


def lsn_distance(newer: str | None, older: str | None) -> int | None:
    """Bytes of log between two positions, never negative; None when either is unknown."""
    if newer is None or older is None:
        return None
    return max(0, parse_lsn(newer) - parse_lsn(older))
