"""The watchdog: a worker that stopped making progress says so, dumps its stacks and ends.

It watches from a thread of its own, so that a handler which blocks the event loop is seen as well. Ending is not a
clean stop: whatever hangs would hang that too. Nothing unacknowledged is committed by it.
"""

import asyncio
import faulthandler
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

from streams.engine.progress import StallWatch, Standing

log = logging.getLogger(__name__)

SAMPLES_PER_LIMIT = 6
"""How often the standings are looked at within the limit."""


class Watchdog:
    """Samples standings on the event loop, judges them there, and watches from a thread that the sampling goes on.

    Args:
        limit_s: how long work may lie without an offset moving.
        monotonic_s: clock.
        end_process: called with a sentence once the process has to end; does not return in production.
    """

    def __init__(self, limit_s: float, *, monotonic_s: Callable[[], float], end_process: Callable[[str], None]) -> None:
        self._limit_s = limit_s
        self._interval_s = limit_s / SAMPLES_PER_LIMIT
        self._monotonic_s = monotonic_s
        self._end_process = end_process
        self._watch = StallWatch(limit_s)
        self._sampled_s = monotonic_s()
        self._stopped = threading.Event()

    def start_thread(self) -> None:
        """Begin to watch the sampling."""
        self._sampled_s = self._monotonic_s()
        threading.Thread(target=self._watch_sampling, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """End the watch."""
        self._stopped.set()

    def _watch_sampling(self) -> None:
        while not self._stopped.wait(self._interval_s):
            silent_s = self._monotonic_s() - self._sampled_s
            if silent_s > self._limit_s + self._interval_s:
                self._end(f"the event loop has not run for {silent_s:.0f} s")
                return

    async def sample_for_ever(self, app: Any) -> None:
        """Judge the app's standings at each interval; ends by cancellation."""
        while True:
            await asyncio.sleep(self._interval_s)
            self._sampled_s = self._monotonic_s()
            self.judge(app, await self._behind(app.consumer))
            self._sampled_s = self._monotonic_s()

    async def _behind(self, consumer: Any) -> dict[Any, int]:
        # No answer is no verdict: a broker that is away stalls everybody, and ending would not bring it back.
        try:
            return await asyncio.wait_for(consumer.behind(), self._interval_s)
        except Exception as error:  # noqa: BLE001 - whatever it is, the lag is unknown
            log.info("log ends are not to be had: %r", error)
            return {}

    def judge(self, app: Any, behind: dict[Any, int]) -> None:
        """End the process if some partition has stalled."""
        consumer, engine = app.consumer, app.engine
        standings = {
            where: Standing(
                acknowledged=consumer.positions.acknowledged(where),
                under_way=consumer.credit.under_way(where),
                behind=behind.get(where),
            )
            for where in consumer.positions.owned()
        }
        excused = engine.backing_off or app.rebalancing or app.in_recovery
        stalled = self._watch.observe(self._monotonic_s(), standings, excused=excused)
        if stalled:
            names = ", ".join(f"{where.topic}-{where.partition}" for where in stalled)
            self._end(f"no offset moved for {self._limit_s:.0f} s although there is work: {names}")

    def _end(self, sentence: str) -> None:
        log.critical("stalled: %s", sentence)
        faulthandler.dump_traceback(file=sys.__stderr__ or sys.stderr, all_threads=True)
        self._end_process(sentence)
