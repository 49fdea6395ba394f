"""Judges what became of each event of a batch, from what was inserted and what was stored before. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sinks.store_values import EventRow, Fate


@dataclass(frozen=True, slots=True)
class StoredBody:
    """What stands in the store under an event_id: the body's hash and the position of its record."""

    body_hash: bytes
    topic: str
    partition: int
    offset: int


def first_occurrences(rows: Sequence[EventRow]) -> dict[UUID, EventRow]:
    """The first row of each event_id, in the rows' order."""
    firsts: dict[UUID, EventRow] = {}
    for row in rows:
        firsts.setdefault(row.event.event_id, row)
    return firsts


def judge(
    rows: Sequence[EventRow], inserted_offsets: Collection[int], stored: Mapping[UUID, StoredBody]
) -> tuple[Fate, ...]:
    """The fate of each row.

    Args:
        rows: one partition's rows, offsets distinct.
        inserted_offsets: offsets of the rows that were inserted now.
        stored: bodies of those event_ids whose first row was not inserted.

    Raises:
        KeyError: an event_id is neither inserted nor stored.
    """
    if len(inserted_offsets) == len(rows):
        return (Fate.INSERTED,) * len(rows)
    standing = dict(stored)
    for row in rows:
        if row.offset in inserted_offsets:
            standing[row.event.event_id] = StoredBody(row.event.body_hash, row.topic, row.partition, row.offset)
    return tuple(
        Fate.INSERTED if row.offset in inserted_offsets else _compare(row, standing[row.event.event_id]) for row in rows
    )


def _compare(row: EventRow, standing: StoredBody) -> Fate:
    if (row.topic, row.partition, row.offset) == (standing.topic, standing.partition, standing.offset):
        return Fate.REDELIVERED
    return Fate.DUPLICATE if row.event.body_hash == standing.body_hash else Fate.CONFLICT
