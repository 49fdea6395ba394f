"""Phase two's edge: progress records in, alert records out.

A progress record says: whoever has counted up to these offsets has counted everything committed up to this time. The
evaluator keeps the progress records that the view has not reached yet, and evaluates the ticks up to the newest that it
has. It acknowledges without waiting: a progress record carries nothing that a later one does not, ticks follow from the
last tick remembered and the newest watermark, and the panes are absolute; so a crash with records still kept loses
nothing, and a partition that is behind delays alerts but holds up nobody.

Records are published before the memory is written, the memory before the batch is acknowledged. A crash after the
publication leaves a record on `alerts` that the memory does not know; the next owner therefore reads `alerts` to its
end before its first tick and takes over what is newer there. A crash before it repeats the tick, which gives the same
record with the same generation.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Final, Protocol

from schemas.alert import Alert
from schemas.errors import SchemaError
from schemas.progress import Progress, decode_progress
from streams.alerts.evaluation import Evaluated, due, evaluate, reconcile, retire_changed, skip_to
from streams.alerts.memory import Memory, changes, read_memory
from streams.alerts.pending import PendingProgress
from streams.alerts.rule import RuleSet
from streams.engine.batch import RecordBatch
from streams.engine.outcomes import Handled, Refusal, Transient
from streams.windows import metrics
from streams.windows.merge import View
from topics.publisher import Outgoing, PublishFailed
from topics.registry import ALERTS, cdc_topic

log = logging.getLogger(__name__)

_TICKS_AT_ONCE: Final = 60
_AHEAD_LIMIT_MS: Final = 300_000
_REPLAY_LAG_MS: Final = 600_000


class AlertPublisher(Protocol):
    """The part of `topics.publisher.Publisher` that is used."""

    async def publish_many(self, messages: Sequence[Outgoing]) -> list[int]:
        """Publish in order and wait for Kafka; raises PublishFailed."""
        ...


class Encoder(Protocol):
    """The part of `schemas.avro.AvroCodec` that is used."""

    def encode(self, name: str, record: Mapping[str, object]) -> bytes:
        """A record in the registry's framing."""
        ...


class Present(Protocol):
    """A reader that can be asked to read up to now: `streams.windows.follower.Follower`."""

    def ask_for_present(self) -> int:
        """Ask; the number is for `has_answered`."""
        ...

    def has_answered(self, question: int) -> bool:
        """Whether it has read what was there when it was asked."""
        ...


class Evaluator:
    """Evaluates rules as the watermark moves; runs on whichever worker owns the progress topic's partition.

    Args:
        rules: the rules in force.
        view: phase two's view, fed by a follower of the panes changelog.
        published: newest record of each fingerprint on `alerts`, fed by a follower of it.
        readers: the followers that feed both; the first tick of an owner waits until they have read to the end.
        states: the alert state Table, keys and values bytes.
        publisher, encoder: how records leave.
        now_ms: wall clock; only tells history from present, and a source clock that runs ahead.
    """

    def __init__(
        self,
        rules: RuleSet,
        view: View,
        published: Mapping[str, Alert],
        readers: Sequence[Present],
        *,
        states: MutableMapping[bytes, bytes],
        publisher: AlertPublisher,
        encoder: Encoder,
        now_ms: Callable[[], int],
    ) -> None:
        self._rules = rules
        self._view = view
        self._published = published
        self._readers = readers
        self._states = states
        self._publisher = publisher
        self._encoder = encoder
        self._now_ms = now_ms
        self._topics = tuple(cdc_topic(signal.table) for signal in rules.signals)
        self._pending = PendingProgress()
        self._memory: Memory | None = None
        self._owner: tuple[int, tuple[int, ...]] | None = None

    async def handle(self, batch: RecordBatch) -> Handled:
        """Note the batch's progress and evaluate what has become due.

        Raises:
            Transient: an alert could not be published; nothing of its ticks is remembered.
            StateUnreadable: the Table holds records of a newer release.
        """
        refusals = self._note(batch)
        if self._is_ready(batch.generation):
            reached = self._pending.newest_reached(lambda ends: self._view.has_reached(ends, self._topics))
            if reached is not None:
                await self._evaluate_up_to(reached.commit_ms)
        return Handled(refusals)

    def _note(self, batch: RecordBatch) -> tuple[Refusal, ...]:
        refusals: list[Refusal] = []
        for record in batch.records:
            try:
                progress = decode_progress(record.value)
            except SchemaError as error:
                refusals.append(Refusal(record, error.reason.value, error.detail, None))
                continue
            self._keep(progress)
        return tuple(refusals)

    def _keep(self, progress: Progress) -> None:
        if progress.commit_ms > self._now_ms() + _AHEAD_LIMIT_MS:
            # One watermark from a clock that is a day fast would keep alerts silent for a day.
            metrics.progress_ignored.labels("ahead").inc()
        elif not self._pending.add(progress):
            metrics.progress_ignored.labels("older").inc()

    def _is_ready(self, generation: int) -> bool:
        """Whether this owner has read what earlier owners counted and published."""
        if self._owner is None or self._owner[0] != generation:
            self._owner = (generation, tuple(reader.ask_for_present() for reader in self._readers))
            self._memory = None
        return self._memory is not None or all(
            reader.has_answered(question) for reader, question in zip(self._readers, self._owner[1], strict=True)
        )

    async def _evaluate_up_to(self, watermark_ms: int) -> None:
        memory = self._memory if self._memory is not None else await self._remember(watermark_ms)
        ticks = due(self._rules, memory.tick_ms, watermark_ms, self._view.newest_commit_ms())
        if ticks.skipped is not None:
            log.warning("ticks up to %d cannot be evaluated any more: their panes have expired", ticks.skipped)
            replayed = self._is_replay(ticks.skipped)
            memory = await self._keep_result(memory, skip_to(self._rules, memory, ticks.skipped, replayed=replayed))
        pane_ms = self._rules.layout.pane_ms
        for first_ms in range(ticks.first_ms, ticks.last_ms + 1, pane_ms * _TICKS_AT_ONCE):
            last_ms = min(ticks.last_ms, first_ms + pane_ms * (_TICKS_AT_ONCE - 1))
            memory = await self._evaluate_run(memory, range(first_ms, last_ms + 1, pane_ms))
            await asyncio.sleep(0)
        self._view.forget_before(watermark_ms - 2 * self._rules.retention_ms)

    async def _remember(self, watermark_ms: int) -> Memory:
        kept = read_memory(list(self._states.items()))
        memory = reconcile(self._rules, kept, self._published)
        at_ms = self._rules.layout.last_end_before(watermark_ms)
        return await self._keep_result(kept, retire_changed(self._rules, memory, at_ms))

    async def _evaluate_run(self, memory: Memory, ticks: range) -> Memory:
        after, alerts = memory, list[Alert]()
        for tick_ms in ticks:
            replayed = self._is_replay(tick_ms)
            evaluated = evaluate(self._rules, self._view, after, tick_ms, replayed=replayed)
            after = evaluated.memory
            alerts += evaluated.alerts
        metrics.alert_tick_ms.set(ticks[-1])
        return await self._keep_result(memory, Evaluated(after, tuple(alerts)))

    def _is_replay(self, tick_ms: int) -> bool:
        return self._now_ms() - tick_ms > _REPLAY_LAG_MS

    async def _keep_result(self, before: Memory, evaluated: Evaluated) -> Memory:
        await self._publish(evaluated.alerts)
        for key, value in changes(before, evaluated.memory):
            if value is not None:
                self._states[key] = value
            elif key in self._states:
                del self._states[key]
        self._memory = evaluated.memory
        return evaluated.memory

    async def _publish(self, alerts: Sequence[Alert]) -> None:
        if not alerts:
            return
        messages = [
            Outgoing(ALERTS, alert.fingerprint.encode(), self._encoder.encode("alert", alert.to_avro()))
            for alert in alerts
        ]
        try:
            await self._publisher.publish_many(messages)
        except PublishFailed as error:
            if not error.retriable:
                raise
            raise Transient(f"an alert could not be published: {error}") from error
        for alert in alerts:
            metrics.alert_records.labels(alert.rule, alert.status).inc()
            log.warning(
                "alert %s %s: %s, severity %s, value %s",
                alert.rule, alert.status, alert.id, alert.severity, alert.value,
            )  # fmt: skip
