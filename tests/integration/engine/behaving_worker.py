"""A worker whose handler behaves as its records ask; journals what it did. Run with one JSON argument.

Record values: b"poison", b"bug", b"stuck" (never returns), b"block" (blocks the event loop); anything else is accepted.
While the file `down` exists, every batch is a transient failure.
"""

import asyncio
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

from streams.engine import transport
from streams.engine.app import build_app
from streams.engine.batch import RecordBatch
from streams.engine.outcomes import Handled, Poison, Transient
from streams.engine.settings import EngineSettings
from streams.engine.worker import run


class Role:
    def __init__(self, told: dict[str, Any]) -> None:
        self.delay_s = told.get("delay_s", 0.0)
        self.directory = Path(told["directory"])
        self.journal = (self.directory / f"journal-{told['name']}").open("a")

    async def handle(self, batch: RecordBatch) -> Handled:
        values = [record.value for record in batch.records]
        self.note("begun", batch)
        if (self.directory / "down").exists():
            raise Transient("the database is down")
        if b"bug" in values:
            raise ZeroDivisionError("a bug in the handler")
        if b"block" in values:
            time.sleep(600)
        if b"stuck" in values:
            await asyncio.Event().wait()
        if b"poison" in values:
            raise Poison("one of these is poison")
        await asyncio.sleep(self.delay_s)
        self.note("done", batch)
        return Handled()

    async def write(self, letters: Any) -> None:
        for letter in letters:
            self.line(
                {"what": "letter", "partition": letter.partition, "offset": letter.offset, "reason": letter.reason}
            )

    async def background(self) -> None:
        self.line({"what": "background"})
        while not (self.directory / "background-fails").exists():
            await asyncio.sleep(0.05)
        raise OSError("the claim loop lost its database")

    def note(self, what: str, batch: RecordBatch) -> None:
        offsets = [record.offset for record in batch.records]
        self.line(
            {"what": what, "partition": batch.partition, "offsets": offsets, "generation": batch.generation,
             "first": batch.first_offset, "next": batch.next_offset}
        )  # fmt: skip

    def line(self, content: dict[str, Any]) -> None:
        print(json.dumps(content), file=self.journal, flush=True)


def lose_slices(every: int) -> None:
    """Lose each n-th slice between fetch and agent, as Faust does when it empties its queues."""
    stock = transport.SliceConsumer.getmany
    count = 0

    async def lossy(self: Any, timeout: float) -> Any:
        nonlocal count
        async for tp, message in stock(self, timeout):
            count += 1
            if count % every:
                yield tp, message
            del message

    transport.SliceConsumer.getmany = lossy  # type: ignore[method-assign]


def main() -> int:
    told = json.loads(sys.argv[1])
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if told.get("lose_every"):
        lose_slices(told["lose_every"])
    role = Role(told)
    settings = EngineSettings(
        role="behaving",
        group_id=told["group"],
        bootstrap_servers=told["bootstrap_servers"],
        version="0",
        retry_base_s=0.05,
        retry_cap_s=told.get("retry_cap_s", 0.2),
        commit_interval_s=0.3,
        max_poll_records=told.get("slice_records", 100),
        finish_in_hand_s=told.get("finish_in_hand_s", 10.0),
        watchdog_s=told.get("watchdog_s", 60.0),
    )
    app = build_app(settings, inputs={told["topic"]: role.handle}, dead_letters=role, background=[role.background])
    return run(app)


if __name__ == "__main__":
    sys.exit(main())
