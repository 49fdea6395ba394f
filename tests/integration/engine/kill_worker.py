"""A worker that counts records in a Faust table behind a fence; the kill loop starts, kills and stops several of it.

Run as `python -m tests.integration.engine.kill_worker JSON`.
"""

import asyncio
import json
import logging
import sys
from typing import Any

from streams.engine.app import EngineApp, build_app
from streams.engine.batch import RecordBatch
from streams.engine.outcomes import Handled
from streams.engine.settings import EngineSettings
from streams.engine.worker import run

TABLE = "counts"


class CountingRole:
    """Counts and sums per (partition, series); a record at or below the fence was counted before."""

    def __init__(self, partitions: int, delay_s: float) -> None:
        self._partitions = partitions
        self._delay_s = delay_s
        self._table: Any = None

    def tables(self, app: EngineApp) -> None:
        self._table = app.Table(TABLE, partitions=self._partitions)

    async def handle(self, batch: RecordBatch) -> Handled:
        await asyncio.sleep(self._delay_s)
        touched: dict[str, dict[str, int]] = {}
        for record in batch.records:
            number, series = json.loads(record.value or b"null")
            key = f"{batch.partition}|{series}"
            state = touched.get(key)
            if state is None:
                state = dict(self._table.get(key) or {"fence": -1, "count": 0, "total": 0})
                touched[key] = state
            if number <= state["fence"]:
                continue
            state["fence"] = number
            state["count"] += 1
            state["total"] += number
        for key, state in touched.items():
            self._table[key] = state
        return Handled()


class NoLetters:
    async def write(self, letters: Any) -> None:
        raise AssertionError(f"nothing here is refused: {letters}")


def main() -> int:
    told = json.loads(sys.argv[1])
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s %(message)s")
    role = CountingRole(told["partitions"], told["delay_s"])
    settings = EngineSettings(
        role="kill-loop",
        group_id=told["group"],
        bootstrap_servers=told["bootstrap_servers"],
        version="0",
        max_poll_records=told["slice_records"],
        commit_interval_s=0.3,
    )
    app = build_app(settings, inputs={told["topic"]: role.handle}, dead_letters=NoLetters(), tables=role.tables)
    return run(app)


if __name__ == "__main__":
    sys.exit(main())
