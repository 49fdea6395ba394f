"""A worker's Faust app: its agents, its transport, its tables; started and stopped by `streams.engine.worker`.

Each input topic has one agent with concurrency 1, so one handler never runs concurrently with itself. Handlers of
different topics of a role do run concurrently, at their awaits; they never share a partition.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import faust
from faust.tables.manager import TableManager
from mode.supervisors import CrashingSupervisor
from yarl import URL

from streams.engine import faust_contract
from streams.engine.fetching import FAUST_LOG
from streams.engine.kafka_security import credentials
from streams.engine.observer import EngineObserver, SilentObserver
from streams.engine.outcomes import Handler
from streams.engine.processing import DeadLetterWriter
from streams.engine.settings import EngineSettings
from streams.engine.slices import SliceEngine
from streams.engine.transport import SliceTransport

log = logging.getLogger(__name__)

Background = Callable[[], Awaitable[None]]
"""A loop that runs beside the agents from the moment the worker is ready; ends by cancellation."""

TablesHook = Callable[["EngineApp"], None]
"""Called once while the app is built, to create Faust tables: `app.Table(name, partitions=n)`."""

REQUEST_TIMEOUT_S = 40.0
MAX_POLL_INTERVAL_S = 24 * 3600.0
"""Without fetching, e.g. while the database is away, a worker keeps its partitions; the watchdog sees true stalls."""


class EngineTables(TableManager):
    """Faust's tables, without the second that it waits at the start for tables to be declared: ours all are."""

    logger = FAUST_LOG

    async def on_start(self) -> None:
        """Begin recovery at once."""
        await self._update_channels()
        await self.recovery.start()


class EngineApp(faust.App):
    """Faust's app with the engine's order of stopping, no directories and no silent restarts."""

    logger = FAUST_LOG
    engine: SliceEngine
    background: Sequence[Background] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._background_tasks: list[asyncio.Task[None]] = []
        self.ready = asyncio.Event()
        super().__init__(*args, **kwargs)

    def _create_directories(self) -> None:
        """Nothing is stored on disk."""

    async def _on_agent_error(self, agent: Any, exc: BaseException) -> None:
        # Stock commits and restarts the agent. An exception that reaches here left the engine's own shell.
        self.engine.fail(exc, f"agent {agent.name}")

    async def on_startup_finished_by_engine(self) -> None:
        """Partitions are assigned and tables recovered: begin the background loops."""
        for background in self.background:
            self._background_tasks.append(asyncio.create_task(self._supervised(background)))
        self.ready.set()
        log.info("worker %s is ready", self.engine.settings.role)

    async def _supervised(self, background: Background) -> None:
        try:
            await background()
        except Exception as error:  # noqa: BLE001 - every unknown failure ends the process, whatever its class
            self.engine.fail(error, f"background loop {getattr(background, '__qualname__', background)}")

    async def on_stop(self) -> None:
        """Background loops first, then the slices in hand, then the commit, then Faust."""
        await self._stop_background()
        if self._consumer is not None and self._consumer.started and self._assigned():
            await self.engine.hand_over(self._consumer)
        await super().on_stop()

    def _assigned(self) -> bool:
        return bool(self._consumer._thread._consumer is not None and self._consumer.assignment())

    async def _stop_background(self) -> None:
        for task in self._background_tasks:
            task.cancel()
        if self._background_tasks:
            await asyncio.wait(self._background_tasks, timeout=self.engine.settings.finish_in_hand_s)


def build_app(
    settings: EngineSettings,
    *,
    inputs: Mapping[str, Handler],
    dead_letters: DeadLetterWriter,
    background: Sequence[Background] = (),
    tables: TablesHook | None = None,
    observer: EngineObserver | None = None,
) -> EngineApp:
    """The worker of one role.

    Args:
        settings: connection, group, limits.
        inputs: topic to handler; every topic must exist. Call order: one slice after another per topic.
        dead_letters: where refused records go.
        background: loops beside the agents, begun when the worker is ready; an exception in one ends the process.
        tables: creates the role's Faust tables; handlers may write them, in the partition of the slice in hand.
        observer: told what the engine does.

    Raises:
        FaustChanged: the installed Faust is not the pinned one.
        ValueError: security settings that do not fit together.
    """
    faust_contract.check()
    app = EngineApp(settings.group_id, **_faust_settings(settings))
    app.engine = SliceEngine(
        settings,
        inputs,
        dead_letters,
        observer=observer or SilentObserver(),
        now_ms=lambda: time.time_ns() // 1_000_000,
        monotonic_s=time.monotonic,
        random=random.random,
    )
    app.background = tuple(background)
    app.transport = SliceTransport(app.conf.broker_consumer, app)
    if tables is not None:
        tables(app)
    for topic in inputs:
        _add_agent(app, topic)
    return app


def changelog_topics(app: EngineApp) -> list[tuple[str, int]]:
    """Name and partitions of every changelog the app's tables write, for `topics apply`; they must be compacted."""
    return [(table.changelog_topic_name, table.partitions) for table in app.tables.values()]


def _add_agent(app: EngineApp, name: str) -> None:
    topic = app.topic(name, key_serializer="raw", value_serializer="raw")

    async def slices(stream: Any) -> None:
        async for event in stream.noack().events():
            await app.engine.consume(event, app.consumer)

    app.agent(topic, name=f"{app.conf.id}.{name}", concurrency=1, supervisor_strategy=CrashingSupervisor)(slices)


def _faust_settings(settings: EngineSettings) -> dict[str, Any]:
    optional = {} if settings.datadir is None else {"datadir": settings.datadir}
    return {
        **optional,
        # Faust would let environment variables win over these; ops.settings alone reads the environment.
        "env": {},
        "broker": [URL(f"kafka://{server.strip()}") for server in settings.bootstrap_servers.split(",")],
        "broker_credentials": credentials(settings.security),
        "broker_client_id": f"bongsu-{settings.role}",
        "broker_session_timeout": settings.session_timeout_s,
        "broker_heartbeat_interval": settings.heartbeat_interval_s,
        "broker_commit_interval": settings.commit_interval_s,
        "broker_commit_every": None,
        "broker_max_poll_records": settings.max_poll_records,
        "broker_max_poll_interval": MAX_POLL_INTERVAL_S,
        "broker_request_timeout": REQUEST_TIMEOUT_S,
        "consumer_auto_offset_reset": "earliest",
        "producer_acks": -1,
        "producer_compression_type": "lz4",
        "producer_linger": 0.005,
        "producer_max_batch_size": 262_144,
        "store": "memory://",
        "TableManager": EngineTables,
        "table_standby_replicas": 0,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "reply_create_topic": False,
        "web_enabled": False,
        # The engine waits itself, bounded; Faust's wait has no bound.
        "stream_wait_empty": False,
        "autodiscover": False,
        "worker_redirect_stdouts": False,
        # Faust's own "no progress" guesses only log; the watchdog acts.
        "stream_processing_timeout": MAX_POLL_INTERVAL_S,
        "broker_commit_livelock_soft_timeout": MAX_POLL_INTERVAL_S,
    }
