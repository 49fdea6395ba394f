"""The marks role: source rows that stand in the topic become PUBLISHED (001 L206-210), whichever relay put them there.

PENDING to PUBLISHED is this role's and nobody else's. A FAILED row stays FAILED here, also when the sweeper emits it
again on request: whether it is accepted now is known to the activity role alone, which then writes PUBLISHED itself.
Two roles that read one record in any order thus always end in the same state.
"""

from collections.abc import Callable
from typing import Final
from uuid import UUID

import structlog

from schemas.change import Skipped, parse_change
from schemas.errors import SchemaError
from streams import metrics
from streams.engine.batch import Record, RecordBatch
from streams.engine.outcomes import Handled, Transient
from streams.roles.ports import MarkStore
from streams.roles.store_answers import engine_words

log = structlog.get_logger(__name__)

VISIBLE_WITHIN_MS: Final = 10_000
"""How long after its commit a row may be decoded but not yet visible to queries (design.md §1); older ones are gone."""


class MarksRole:
    """Handles `cdc.public.user_activity_source_outbox` for the marks.

    Args:
        store: marks rows.
        now_s: Unix time; tells rows not visible yet from rows that are gone.
        visible_within_ms: see `VISIBLE_WITHIN_MS`.
    """

    def __init__(
        self, store: MarkStore, *, now_s: Callable[[], float], visible_within_ms: int = VISIBLE_WITHIN_MS
    ) -> None:
        self._store = store
        self._now_s = now_s
        self._visible_within_ms = visible_within_ms

    async def handle(self, batch: RecordBatch) -> Handled:
        """Mark the batch's rows.

        Records that cannot be read are passed over: the activity role reads the same ones and dead-letters them.

        Raises:
            Transient: the store cannot be asked now, or a row is not visible yet.
            Poison: the store refuses the values of some record.
        """
        seen: dict[tuple[int, UUID], int] = {}
        for record in batch.records:
            mark = _mark(record)
            if mark is not None:
                seen[mark[0], mark[1]] = mark[2]
        if not seen:
            return Handled()
        with engine_words():
            report = await self._store.publish(tuple(seen))
        metrics.source_marked.labels("published").inc(report.published)
        metrics.source_marked.labels("settled").inc(len(seen) - report.published - len(report.missing))
        if report.missing:
            self._tell_missing(batch, {key[0]: at_ms for key, at_ms in seen.items() if key[0] in report.missing})
        return Handled()

    async def background(self) -> None:
        """Nothing to do beside the records."""

    def _tell_missing(self, batch: RecordBatch, missing: dict[int, int]) -> None:
        """Ask for the batch again while a missing row may still appear; then count it as gone."""
        oldest_visible_ms = self._now_s() * 1000 - self._visible_within_ms
        young = sum(committed_ms > oldest_visible_ms for committed_ms in missing.values())
        if young:
            raise Transient(f"{young} source rows of {batch.topic}/{batch.partition} are not visible yet")
        metrics.source_marked.labels("gone").inc(len(missing))
        log.info(
            "marks.rows_gone",
            topic=batch.topic,
            partition=batch.partition,
            rows=len(missing),
            ids=sorted(missing)[:5],
        )


def _mark(record: Record) -> tuple[int, UUID, int] | None:
    """Id, event_id and commit time (Unix ms) of the row that a record inserted; None for anything else."""
    try:
        change = parse_change(record.value)
    except SchemaError:
        return None
    if isinstance(change, Skipped):
        return None
    row_id, event_id = change.row.get("id"), change.row.get("event_id")
    if type(row_id) is not int or not 0 <= row_id < 2**63 or not isinstance(event_id, str):
        return None
    try:
        return row_id, UUID(event_id), change.commit_ms
    except ValueError:
        return None
