"""The activity role: captured outbox rows and Avro events become stored events, dispatch rows and notify jobs, once.

What is refused, and why, is `decoding`; what happens once is the store's unique key; what was left out, the repair's.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, assert_never

import structlog

from schemas.avro import AvroCodec
from schemas.errors import Reason, SchemaError
from schemas.event_names import EventNames
from schemas.runbook_messages import CONSUME_FAILED, DUPLICATE_SKIPPED, HOOK_FAILED
from sinks.repair_values import NoGap
from sinks.store_errors import StoreError, StoreRefused
from sinks.store_values import Enqueued, EnqueueFailed, EventRow, Fate, SourceRefusal, StoreReport
from streams import metrics
from streams.engine.batch import Record, RecordBatch
from streams.engine.outcomes import Handled, Refusal
from streams.metrics import POSTHOG, WEB_PUSH
from streams.roles.decoding import Decoded, Rejected, decode_avro, decode_change
from streams.roles.ports import EventStore, Schemas
from streams.roles.store_answers import engine_words

log = structlog.get_logger(__name__)

LOGGED_REFUSALS: Final = 20
"""Refusals of one batch that get a log line each; the dead-letter topic has them all."""


@dataclass(frozen=True, slots=True)
class RepairPace:
    """How the repair goes about its work; times in seconds.

    Attributes:
        every_s: time between two looks for gaps of workers that ended, when no hook failed here.
        retry_s: wait after a step that failed.
        chunk: most events of one step.
        between_s: rest between two steps.
    """

    every_s: float = 60.0
    retry_s: float = 10.0
    chunk: int = 2000
    between_s: float = 0.005


class ActivityRole:
    """Handles `cdc.public.user_activity_source_outbox` and `activity.events`.

    Args:
        store: where events are stored once.
        codec: reads Avro records; `schemas` puts writers' schemas into it.
        schemas: fetches schemas that the codec does not know yet.
        allowed: the allow list of event names.
        avro_topic: the topic whose records are Avro; every other one carries change events.
        repair: pace of the repair.
    """

    def __init__(
        self,
        store: EventStore,
        codec: AvroCodec,
        schemas: Schemas,
        *,
        allowed: EventNames,
        avro_topic: str,
        repair: RepairPace | None = None,
    ) -> None:
        self._store = store
        self._codec = codec
        self._schemas = schemas
        self._allowed = allowed
        self._avro_topic = avro_topic
        self._repair = repair or RepairPace()
        self._hook_failed = asyncio.Event()

    async def handle(self, batch: RecordBatch) -> Handled:
        """Store what the batch carries and commit; refusals are returned, never raised.

        Raises:
            Transient: the store or the registry cannot be asked now.
            Poison: the store refuses the values of some record of several.
        """
        decoded = await self._decode(batch)
        rejected = [item for item in decoded if isinstance(item, Rejected)]
        rows = [item for item in decoded if isinstance(item, EventRow)]
        sources = [item.source for item in rejected if item.source is not None]
        report, refused_by_store = await self._store_rows(rows, sources)
        refusals = [
            *(item.refusal for item in rejected),
            *_conflicts(batch, rows, report),
            *(_refused_by_store(batch, rows[0], error) for error in refused_by_store),
        ]
        self._tell(batch, report, rows, refusals, skipped=len(decoded) - len(rejected) - len(rows))
        return Handled(tuple(sorted(refusals, key=lambda refusal: refusal.record.offset)))

    async def background(self) -> None:
        """Repair, for ever, the gaps that failed hooks leave: at start, after a failed hook, and now and then."""
        while True:
            # Cleared before the look: a hook that fails while it runs is not lost.
            self._hook_failed.clear()
            wait_s = await self._repair_step()
            if wait_s is not None:
                await asyncio.sleep(wait_s)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(self._repair.every_s):
                    await self._hook_failed.wait()

    async def _decode(self, batch: RecordBatch) -> list[Decoded]:
        if batch.topic != self._avro_topic:
            return [decode_change(record, self._allowed) for record in batch.records]
        unknown = {
            schema_id
            for schema_id in map(_schema_id, batch.records)
            if schema_id is not None and not self._codec.knows(schema_id)
        }
        if unknown:
            await self._schemas.ensure(unknown)
        return [decode_avro(record, self._codec, self._allowed) for record in batch.records]

    async def _store_rows(
        self, rows: Sequence[EventRow], sources: Sequence[SourceRefusal]
    ) -> tuple[StoreReport, tuple[StoreRefused, ...]]:
        """The report, and the refusal when the store does not take the one event there is."""
        if not rows and not sources:
            return StoreReport((), Enqueued()), ()
        with engine_words():
            try:
                return await self._store.store(rows, sources), ()
            except StoreRefused as error:
                if len(rows) != 1:
                    raise
                # The culprit is known: no need to let the engine halve the batch, and its source row can be told.
                return await self._store.store((), [*sources, *_source_of(rows[0], error)]), (error,)

    async def _repair_step(self) -> float | None:
        """Repair a chunk; returns the seconds to wait before the next one, None when no gap is left."""
        try:
            step = await self._store.repair(limit=self._repair.chunk)
        except StoreError as error:
            log.warning("activity.repair_postponed", error=str(error))
            return self._repair.retry_s
        match step:
            case NoGap():
                return None
            case Enqueued():
                _tell_repaired(step)
                return self._repair.between_s
            case EnqueueFailed(error=reason):
                log.error("activity.hook_failed", message=HOOK_FAILED, error=reason, repair=True)
                return self._repair.retry_s
            case _ as unreachable:
                assert_never(unreachable)

    def _tell(
        self,
        batch: RecordBatch,
        report: StoreReport,
        rows: Sequence[EventRow],
        refusals: Sequence[Refusal],
        *,
        skipped: int,
    ) -> None:
        """Log and count what happened to the batch."""
        fates = report.fates
        duplicates = [row for row, fate in zip(rows, fates, strict=False) if fate in (Fate.DUPLICATE, Fate.REDELIVERED)]
        refused = len(refusals) - fates.count(Fate.CONFLICT)
        for result, count in Counter([*fates, *["refused"] * refused, *["skipped"] * skipped]).items():
            metrics.activity_records.labels(batch.topic, result).inc(count)
        if duplicates:
            log.info(
                "activity.duplicate",
                message=DUPLICATE_SKIPPED,
                topic=batch.topic,
                partition=batch.partition,
                duplicates=len(duplicates),
                redelivered=fates.count(Fate.REDELIVERED),
                event_ids=[str(row.event.event_id) for row in duplicates[:5]],
            )
        log_refusals(batch, refusals)
        self._tell_enqueued(report.enqueue, fates.count(Fate.INSERTED), batch)

    def _tell_enqueued(self, enqueue: Enqueued | EnqueueFailed, events: int, batch: RecordBatch) -> None:
        match enqueue:
            case Enqueued():
                count_enqueued(enqueue)
            case EnqueueFailed(error=error):
                self._hook_failed.set()
                metrics.dispatch_enqueue.labels("fail", POSTHOG).inc(events)
                log.error(
                    "activity.hook_failed",
                    message=HOOK_FAILED,
                    error=error,
                    events=events,
                    topic=batch.topic,
                    partition=batch.partition,
                )


def log_refusals(batch: RecordBatch, refusals: Sequence[Refusal]) -> None:
    """One line per refused record, up to a bound, in the runbook's words (001 L23)."""
    for refusal in refusals[:LOGGED_REFUSALS]:
        log.warning(
            "activity.consume_failed",
            message=CONSUME_FAILED,
            topic=batch.topic,
            partition=batch.partition,
            offset=refusal.record.offset,
            reason=refusal.reason,
            error=refusal.error,
            source_identity=refusal.source_identity,
        )
    if len(refusals) > LOGGED_REFUSALS:
        log.warning(
            "activity.consume_failed",
            message=CONSUME_FAILED,
            topic=batch.topic,
            partition=batch.partition,
            more=len(refusals) - LOGGED_REFUSALS,
        )


def count_enqueued(enqueue: Enqueued) -> None:
    """Count enqueued rows by target; a job that was there already is an error of its own (000 L17)."""
    for target, inserted, duplicate in (
        (POSTHOG, enqueue.dispatched, enqueue.dispatch_duplicates),
        (WEB_PUSH, enqueue.jobs, enqueue.job_duplicates),
    ):
        metrics.dispatch_enqueue.labels("inserted", target).inc(inserted)
        metrics.dispatch_enqueue.labels("duplicate", target).inc(duplicate)
    if enqueue.job_duplicates:
        log.error("push.dedup_conflict", table="notify_jobs", conflicts=enqueue.job_duplicates)


def _tell_repaired(enqueued: Enqueued) -> None:
    count_enqueued(enqueued)
    metrics.repair_enqueued.labels(POSTHOG).inc(enqueued.dispatched)
    metrics.repair_enqueued.labels(WEB_PUSH).inc(enqueued.jobs)
    if enqueued.dispatched or enqueued.jobs:
        log.warning("activity.repaired", dispatched=enqueued.dispatched, jobs=enqueued.jobs)


def _schema_id(record: Record) -> int | None:
    try:
        return None if record.value is None else AvroCodec.schema_id_of(record.value)
    except SchemaError:
        return None


def _conflicts(batch: RecordBatch, rows: Sequence[EventRow], report: StoreReport) -> list[Refusal]:
    conflicting = {row.offset: row for row, fate in zip(rows, report.fates, strict=False) if fate is Fate.CONFLICT}
    if not conflicting:
        return []
    return [
        Refusal(
            record,
            Reason.CONFLICT.value,
            "the event_id is stored with another body; the stored one stands",
            str(conflicting[record.offset].event.event_id),
        )
        for record in batch.records
        if record.offset in conflicting
    ]


def _refused_by_store(batch: RecordBatch, row: EventRow, error: StoreRefused) -> Refusal:
    record = next(record for record in batch.records if record.offset == row.offset)
    return Refusal(record, Reason.POISON.value, str(error), str(row.event.event_id))


def _source_of(row: EventRow, error: StoreRefused) -> list[SourceRefusal]:
    if row.source_id is None:
        return []
    return [SourceRefusal(row.source_id, str(row.event.event_id), str(error))]
