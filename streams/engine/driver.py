"""A deterministic driver: feed records to a handler without any broker and see what the engine would have done.

It runs the worker's own code: `Positions` decides what is delivered and what may be committed, `BatchProcessor`
retries, bisects and writes dead letters. Waits are recorded, never slept; time is a number that the test sets.

    driver = Driver(role.handle)
    await driver.feed("cdc.public.notify_jobs", [b"...", b"..."])
    assert driver.committed("cdc.public.notify_jobs") == 2
    assert [letter.reason for letter in driver.dead_letters] == ["not_json"]
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from schemas.dead_letter import DeadLetter
from streams.engine.batch import PlainRecord, Record, RecordBatch
from streams.engine.letters import LetterHead
from streams.engine.observer import EngineObserver, SilentObserver
from streams.engine.outcomes import Handler
from streams.engine.positions import Drop, Partition, Positions, SeekBack, Span, Take
from streams.engine.processing import Abandoned, BatchProcessor, Edge, Processed, RetryPolicy


@dataclass(slots=True)
class MemoryLetters:
    """A dead-letter writer that keeps the letters; `failures` are raised first, one per call."""

    letters: list[DeadLetter] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    async def write(self, letters: Sequence[DeadLetter]) -> None:
        """Keep the letters, or raise the next failure."""
        if self.failures:
            raise self.failures.pop(0)
        self.letters.extend(letters)


def _first_jitter() -> float:
    return 0.0


class Driver:
    """One handler behind the engine's own decisions.

    Attributes:
        waits_s: every back-off that a worker would have waited, in order.
        delivered: every batch that was handed to the handler, trimmed as a worker would.
        now_ms: wall clock, Unix ms; set it.

    Args:
        handler: the role's handler.
        role, version: as they shall stand in dead letters.
        give_up_after: waits after which partitions are taken away (the batch is then abandoned), so that a handler
            which never succeeds ends the test.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        role: str = "driver",
        version: str = "0",
        give_up_after: int = 50,
        observer: EngineObserver | None = None,
        random: Callable[[], float] = _first_jitter,
    ) -> None:
        self.waits_s: list[float] = []
        self.delivered: list[RecordBatch] = []
        self.now_ms = 0
        self.letters = MemoryLetters()
        self._give_up_after = give_up_after
        self._positions = Positions()
        self._ends: dict[Partition, int] = {}
        self._committed: dict[Partition, int] = {}
        self._generation = 1
        edge = Edge(
            pause=self._pause, now_ms=lambda: self.now_ms, monotonic_s=lambda: self.now_ms / 1000, random=random
        )
        self._processor = BatchProcessor(
            handler,
            self.letters,
            head=LetterHead(role=role, version=version),
            edge=edge,
            observer=observer or SilentObserver(),
            retry=RetryPolicy(),
        )

    @property
    def dead_letters(self) -> list[DeadLetter]:
        """What was refused, in order."""
        return self.letters.letters

    def committed(self, topic: str, partition: int = 0) -> int:
        """Offset that a worker would have committed; 0 if none."""
        return self._committed.get(Partition(topic, partition), 0)

    async def feed(
        self, topic: str, values: Iterable[bytes | None], *, partition: int = 0, key: bytes | None = None
    ) -> Processed | Abandoned | None:
        """Append values to the partition's log and let the handler have them as one slice."""
        first = self._ends.get(Partition(topic, partition), 0)
        records = [PlainRecord(topic, partition, first + i, self.now_ms, key, value) for i, value in enumerate(values)]
        return await self.feed_records(records)

    async def feed_records(self, records: Sequence[Record]) -> Processed | Abandoned | None:
        """Let the handler have these records, all of one partition, as one slice; offsets are the records' own.

        Records that were acknowledged already are cut off, as in a worker. None: nothing was left to hand over.

        Raises:
            Exception: what would have ended the worker; nothing of the slice is acknowledged.
            ValueError: the slice begins after the next offset: a worker would have sought back.
        """
        where = Partition(records[0].topic, records[0].partition)
        first, end = records[0].offset, records[-1].offset + 1
        if where not in self._positions.owned():
            self._take_over(where, first)
        token = self._positions.new_token(where)
        decision = self._positions.deliver(where, Span(first, end, token))
        self._ends[where] = max(self._ends.get(where, 0), end)
        match decision:
            case Take(from_offset, ticket):
                batch = RecordBatch(where.topic, where.partition, records, first, end, self._generation)
                return await self._process(where, batch.starting_at(from_offset), ticket)
            case Drop():
                return None
            case SeekBack(offset):
                raise ValueError(f"{where} wants offset {offset}, the slice begins at {first}")

    def rebalance(self) -> None:
        """Take all partitions away and give them back: the next slice of each begins at its committed offset."""
        self._positions.give_up(self._positions.owned())
        self._generation += 1

    def _take_over(self, where: Partition, first: int) -> None:
        self._positions.own([where])
        start = self._committed.get(where, first)
        self._positions.start(where, start, self._committed.get(where))

    async def _process(self, where: Partition, batch: RecordBatch, ticket: int) -> Processed | Abandoned:
        self.delivered.append(batch)
        try:
            outcome = await self._processor.process(batch)
        except Exception:
            self.rebalance()  # what a restarted worker would find
            raise
        if isinstance(outcome, Processed):
            self._positions.acknowledge(ticket)
        else:
            self.rebalance()
        offset = self._positions.committable(where)
        if offset is not None:
            self._committed[where] = offset
            self._positions.commit_done(where, offset)
        return outcome

    async def _pause(self, delay_s: float) -> bool:
        self.waits_s.append(delay_s)
        return len(self.waits_s) >= self._give_up_after
