"""The relay process: the change stream on the main thread, progress and sweeper on threads of their own."""

import math
import signal
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from capture.end_offsets import KafkaEndOffsets
from capture.errors import ConfigurationRefused
from capture.errors import DependencyUnavailable as CaptureUnavailable
from capture.metrics import CaptureMetrics
from capture.progress import ProgressSettings, ProgressWriter
from capture.refusing import DeadLetterTopic, RowRefuser
from capture.relay import Relay
from capture.replication import ReplicationConnection, pinned_conninfo
from capture.settings import RelaySettings, producer_config
from capture.sweep_plan import SweepSettings
from capture.sweeper import Sweeper
from ops.errors import ConfigError, DependencyUnavailable
from ops.exit_codes import ExitCode
from ops.kafka_config import client_config
from ops.metrics_server import PROCESS_HEARTBEAT
from ops.registry import registry
from ops.settings_model import Settings
from schemas.avro import AvroCodec
from schemas.dead_letter import DeadLetter

_HEARTBEAT_S = 1.0
_NUDGE_AFTER_S = 2.0
_EMBEDDED_LINGER_MS = 50
_JOIN_S = 5.0

log = structlog.get_logger(__name__)


def run_relay(settings: Settings) -> int:
    """Relay until a signal; returns the exit code.

    Raises:
        ConfigError: wrong DSN, wal_level, a missing table or topic, a missing privilege.
        DependencyUnavailable: broker or database did not answer within START_TIMEOUT_S.
    """
    with registry(settings) as client:
        codec = client.codec()
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    process = _RelayProcess(settings, codec, stop)
    try:
        return process.run()
    except CaptureUnavailable as error:
        raise DependencyUnavailable(str(error)) from error
    except ConfigurationRefused as error:
        raise ConfigError(str(error)) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def relay_settings(settings: Settings) -> RelaySettings:
    """The relay's part of the settings."""
    return RelaySettings(
        slot_name=settings.slot_name,
        publication_name=settings.publication_name,
        mq_provider=settings.mq_provider,
        max_record_bytes=settings.max_record_bytes,
        start_timeout_s=settings.start_timeout_s,
    )


def _producer_config(settings: Settings) -> dict[str, Any]:
    config = producer_config(client_config(settings, "relay"), settings.max_record_bytes)
    if settings.embedded_broker:
        # The embedded broker answers a fetch with one producer batch per partition, however small: without larger
        # ones every role pays its per-batch cost for a handful of rows.
        config["linger.ms"] = _EMBEDDED_LINGER_MS
    return config


class _RelayProcess:
    """Relay, progress writer and sweeper over the same clients' configuration."""

    def __init__(self, settings: Settings, codec: AvroCodec, stop: threading.Event) -> None:
        self._stop = stop
        self._failed = False
        self._dsn = settings.dsn()
        self._kafka = _producer_config(settings)
        relay = relay_settings(settings)
        metrics = CaptureMetrics()

        def encode(letter: DeadLetter) -> bytes:
            return codec.encode("dead-letter", letter.to_avro())

        refuse = RowRefuser(
            relay,
            write=DeadLetterTopic(self._producer, encode),
            connect=self._connect,
            version=settings.release_name,
        )
        shared: dict[str, Any] = {"connect": self._connect, "open_producer": self._producer, "metrics": metrics}
        self._sweeper = Sweeper(
            SweepSettings(relay, sweep_every_s=settings.sweep_every_s, sweep_after_s=settings.sweep_after_s),
            refuse=refuse,
            **shared,
        )
        self._progress = ProgressWriter(
            ProgressSettings(
                relay.slot_name,
                tuple(relay.topic(table) for table in relay.tables),
                # Debezium publishes logical messages to a topic of their own, and stands still where it is missing.
                nudge_after_s=math.inf if settings.change_reader == "debezium" else _NUDGE_AFTER_S,
            ),
            end_offsets=KafkaEndOffsets(AdminClient(client_config(settings, "progress"))),
            **shared,
        )
        self._relay = Relay(
            relay,
            open_replication=lambda: ReplicationConnection.open(self._dsn),
            refuse=refuse,
            catch_up=self._sweeper.catch_up,
            **shared,
        )
        self._publishes = settings.mq_provider != "none"
        self._reads = settings.change_reader == "relay"

    def run(self) -> int:
        """Run until stopped. A side thread that fails ends the process: half a relay is worse than none."""
        threads = [threading.Thread(target=self._beat, name="heartbeat", daemon=True)]
        if self._publishes:
            threads += [self._thread("progress", self._progress.run), self._thread("sweeper", self._sweeper.run)]
        for thread in threads:
            thread.start()
        try:
            if self._reads:
                self._relay.run(self._stop)
            else:
                log.info("relay.beside_debezium", message="Debezium reads the slot; writing progress and sweeping")
                self._stop.wait()
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(_JOIN_S)
        return ExitCode.FAILED if self._failed else ExitCode.OK

    def _thread(self, name: str, work: Callable[[threading.Event], None]) -> threading.Thread:
        def run() -> None:
            try:
                work(self._stop)
            except Exception:
                self._failed = True
                log.exception("relay.thread_failed", thread=name)
                self._stop.set()

        return threading.Thread(target=run, name=name, daemon=True)

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(pinned_conninfo(self._dsn, application_name="bongsu-relay"), autocommit=True)

    def _producer(self) -> Producer:
        return Producer(self._kafka)

    def _beat(self) -> None:
        while not self._stop.wait(_HEARTBEAT_S):
            PROCESS_HEARTBEAT.beat()
