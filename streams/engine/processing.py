"""The processing of one batch: retry, bisect, dead-letter. Knows no broker; worker and test driver run this same code.

Invariant: `process` returns `Processed` only after the handler accepted every record or its dead letter was written.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, assert_never

from schemas.dead_letter import DeadLetter
from streams.engine.backoff import retry_delay_s
from streams.engine.batch import RecordBatch
from streams.engine.letters import LetterHead
from streams.engine.observer import EngineObserver, Result
from streams.engine.outcomes import Handled, Handler, Poison, Refusal, Transient

log = logging.getLogger(__name__)


class DeadLetterWriter(Protocol):
    """Where refused records go. Returns once they are durable; raises `Transient` if they may be written later."""

    async def write(self, letters: Sequence[DeadLetter]) -> None:
        """Write the letters, each to its own topic's dead-letter topic, in order."""
        ...


Pause = Callable[[float], Awaitable[bool]]
"""Wait that many seconds; True = cut short, because the partitions are to be given up."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Back-off between attempts, seconds: first ceiling and highest ceiling."""

    base_s: float = 0.2
    cap_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Edge:
    """Everything of the outside that processing needs, injected.

    Attributes:
        pause: waits, or is cut short.
        now_ms: wall clock, Unix ms; only for the dead letter's `first_failed_ms`.
        monotonic_s: for latencies.
        random: numbers in [0, 1).
    """

    pause: Pause
    now_ms: Callable[[], int]
    monotonic_s: Callable[[], float]
    random: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Processed:
    """Every record is handled or dead-lettered: the batch may be acknowledged."""

    dead_letters: int


@dataclass(frozen=True, slots=True)
class Abandoned:
    """Given up between two attempts, nothing acknowledged; whoever owns the partition next gets the batch."""


@dataclass(slots=True)
class _Part:
    """A batch or a half of one, and what it has been through; halves inherit that."""

    batch: RecordBatch
    attempts: int = 0
    first_failed_ms: int | None = None

    def halves(self) -> "tuple[_Part, _Part]":
        left, right = self.batch.halves()
        return (
            _Part(left, self.attempts, self.first_failed_ms),
            _Part(right, self.attempts, self.first_failed_ms),
        )


@dataclass(frozen=True, slots=True)
class _Poisoned:
    cause: Poison


class BatchProcessor:
    """One handler with its retries, its bisecting and its dead letters.

    Not reentrant: batches are processed one after another, so a handler never runs concurrently with itself.
    """

    def __init__(
        self,
        handler: Handler,
        dead_letters: DeadLetterWriter,
        *,
        head: LetterHead,
        edge: Edge,
        observer: EngineObserver,
        retry: RetryPolicy,
    ) -> None:
        self._handler = handler
        self._dead_letters = dead_letters
        self._head = head
        self._edge = edge
        self._observer = observer
        self._retry = retry
        self.backing_off = False
        """True while a failed attempt waits for its next: slow, but not stalled."""

    async def process(self, batch: RecordBatch) -> Processed | Abandoned:
        """Take the batch through the handler.

        Raises:
            Exception: whatever the handler raised that is neither `Transient` nor `Poison`; nothing is to be
                acknowledged and the process must end.
        """
        began_s = self._edge.monotonic_s()
        result: Result = "failure"
        try:
            outcome = await self._process(batch)
            result = "success" if isinstance(outcome, Processed) else "abandoned"
        finally:
            self._observer.consumed(batch.topic, len(batch), result, self._edge.monotonic_s() - began_s)
        return outcome

    async def _process(self, batch: RecordBatch) -> Processed | Abandoned:
        letters: list[DeadLetter] = []
        pending = [_Part(batch)]
        while pending:
            part = pending.pop()
            outcome = await self._until_settled(part)
            match outcome:
                case Handled(refusals):
                    letters.extend(self._letter(refusal, part) for refusal in refusals)
                case _Poisoned(cause) if len(part.batch) == 1:
                    letters.append(self._letter(_refusal_of(part.batch, cause), part))
                case _Poisoned():
                    left, right = part.halves()
                    pending += [right, left]
                case Abandoned():
                    return outcome
                case _:
                    assert_never(outcome)
        return await self._write(batch, letters)

    async def _until_settled(self, part: _Part) -> Handled | _Poisoned | Abandoned:
        failures = 0
        while True:
            part.attempts += 1
            try:
                return await self._handler(part.batch)
            except Poison as poison:
                self._mark_failed(part)
                log.info("poison in %s: %s", _whereabouts(part.batch), poison)
                return _Poisoned(poison)
            except Transient as transient:
                self._mark_failed(part)
                failures += 1
                if await self._back_off(part.batch, failures, transient):
                    return Abandoned()

    async def _write(self, batch: RecordBatch, letters: list[DeadLetter]) -> Processed | Abandoned:
        failures = 0
        while letters:
            try:
                await self._dead_letters.write(letters)
                break
            except Transient as transient:
                failures += 1
                if await self._back_off(batch, failures, transient):
                    return Abandoned()
        self._tell_refused(batch.topic, letters)
        return Processed(dead_letters=len(letters))

    async def _back_off(self, batch: RecordBatch, attempt: int, cause: Transient) -> bool:
        delay_s = retry_delay_s(attempt, base_s=self._retry.base_s, cap_s=self._retry.cap_s, jitter=self._edge.random())
        delay_s = max(delay_s, cause.retry_after_s or 0.0)
        log.warning("attempt %d of %s failed, again in %.2f s: %s", attempt, _whereabouts(batch), delay_s, cause)
        self._observer.retried(batch.topic, attempt, delay_s)
        self.backing_off = True
        try:
            return await self._edge.pause(delay_s)
        finally:
            self.backing_off = False

    def _mark_failed(self, part: _Part) -> None:
        if part.first_failed_ms is None:
            part.first_failed_ms = self._edge.now_ms()

    def _letter(self, refusal: Refusal, part: _Part) -> DeadLetter:
        failed_ms = part.first_failed_ms if part.first_failed_ms is not None else self._edge.now_ms()
        return self._head.letter(refusal, attempts=part.attempts, first_failed_ms=failed_ms)

    def _tell_refused(self, topic: str, letters: Sequence[DeadLetter]) -> None:
        counts: dict[str, int] = {}
        for letter in letters:
            counts[letter.reason] = counts.get(letter.reason, 0) + 1
        for reason, count in counts.items():
            log.warning("%d record(s) of %s dead-lettered: %s", count, topic, reason)
            self._observer.refused(topic, reason, count)


def _refusal_of(batch: RecordBatch, cause: Poison) -> Refusal:
    return Refusal(
        record=batch.records[0], reason=cause.reason, error=str(cause), source_identity=cause.source_identity
    )


def _whereabouts(batch: RecordBatch) -> str:
    return f"{batch.topic}-{batch.partition} offsets {batch.first_offset} to {batch.next_offset - 1}"
