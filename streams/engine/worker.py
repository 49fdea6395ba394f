"""Running a worker: one process, one app, signals, exit code.

Exit codes: 0 after a clean stop, 1 after a failure or a stall, 7 if Kafka could not be reached at the start.
"""

import asyncio
import gc
import logging
import os
import threading
import time
from typing import Any

import faust
from aiokafka.errors import KafkaConnectionError

from streams.engine.app import EngineApp
from streams.engine.watchdog import Watchdog

log = logging.getLogger(__name__)

CLEAN = 0
FAILED = 1
UNAVAILABLE = 7

STOP_MARGIN_S = 5.0
"""What a stop may take beyond the slices in hand, the background loops and the last commit."""

LOG_LEVELS = {
    # They tell at INFO what only their authors need.
    "faust": logging.WARNING,
    "mode": logging.WARNING,
    "aiokafka": logging.WARNING,
    # Calls every step of an ordinary rebalance an error; what is one, `SliceThread.check_group` and `_commit` hear.
    "aiokafka.consumer.group_coordinator": logging.CRITICAL,
}
"""Levels for the libraries' loggers, where the logging configuration sets none."""


class EngineWorker(faust.Worker):
    """Faust's worker without its banner, its spinner, its process title and its logging set-up."""

    app: EngineApp

    def __init__(self, app: EngineApp, **kwargs: Any) -> None:
        super().__init__(app, override_logging=False, redirect_stdouts=False, quiet=True, debug=False, **kwargs)
        self.spinner = None

    def _setproctitle(self, info: str, *, ident: str = "") -> None:
        """The command line stays as it is: supervisors and people look for it."""

    def _enter_debugger(self) -> None:
        """SIGUSR2 opens no debugger in a worker."""

    async def on_startup_finished(self) -> None:
        """Begin the role's background loops."""
        await self.app.on_startup_finished_by_engine()


async def run_worker(app: EngineApp) -> int:
    """Run until a signal or a failure; returns the exit code. Call on the main thread's event loop."""
    quieten()
    # Records are many, short-lived and free of cycles: with the default thresholds the collector takes a fifth of the
    # time, looking at slices that are about to be freed anyway.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    settings = app.engine.settings
    worker = EngineWorker(app, loop=asyncio.get_running_loop())
    stopping = _HardExit(settings.finish_in_hand_s * 2 + settings.commit_timeout_s + STOP_MARGIN_S)
    stops: list[asyncio.Task[None]] = []

    def stop_worker() -> None:
        stopping.arm()
        stops.append(asyncio.create_task(worker.stop()))

    app.engine.on_failure = stop_worker
    watch = await _start_watchdog(app)
    try:
        await worker.start()
    except KafkaConnectionError as error:
        log.critical("Kafka at %s cannot be reached: %s", settings.bootstrap_servers, error)
        return UNAVAILABLE
    finally:
        stopping.arm()
        if watch is not None:
            watch.cancel()
        await worker.stop()
        await asyncio.gather(*stops, _signal_stop(worker), return_exceptions=True)
        stopping.disarm()
    return exit_code(app, worker)


def exit_code(app: EngineApp, worker: Any) -> int:
    """0 unless the engine failed or some service of Faust crashed."""
    crash = app.engine.failure or worker.crash_reason or app.crash_reason
    if crash is None:
        return CLEAN
    log.critical("the worker failed: %r", crash)
    return FAILED


def run(app: EngineApp) -> int:
    """`run_worker` on an event loop of its own."""
    with asyncio.Runner() as runner:
        return runner.run(run_worker(app))


def quieten() -> None:
    """Set `LOG_LEVELS`."""
    for name, level in LOG_LEVELS.items():
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(level)


async def _signal_stop(worker: Any) -> None:
    if worker._signal_stop_future is not None:
        await worker._signal_stop_future


async def _start_watchdog(app: EngineApp) -> "asyncio.Task[None] | None":
    limit_s = app.engine.settings.watchdog_s
    if limit_s <= 0:
        return None
    watchdog = Watchdog(limit_s, monotonic_s=time.monotonic, end_process=lambda _: os._exit(FAILED))

    async def watch() -> None:
        await app.ready.wait()
        watchdog.start_thread()
        try:
            await watchdog.sample_for_ever(app)
        finally:
            watchdog.stop()

    return asyncio.create_task(watch())


class _HardExit:
    """Ends the process if a stop hangs: nothing that is not committed by then may be, and nobody waits for ever."""

    def __init__(self, limit_s: float) -> None:
        self._timer = threading.Timer(limit_s, self._exit)
        self._timer.daemon = True
        self._limit_s = limit_s

    def arm(self) -> None:
        """Start the clock; later calls change nothing."""
        if not self._timer.is_alive() and not self._timer.finished.is_set():
            self._timer.start()

    def disarm(self) -> None:
        """The stop has ended."""
        self._timer.cancel()

    def _exit(self) -> None:
        log.critical("the stop took longer than %.0f s, the process ends", self._limit_s)
        os._exit(FAILED)
