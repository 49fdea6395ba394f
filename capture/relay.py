"""The relay: keeps one change stream running, whatever happens to PostgreSQL, Kafka or the slot.

States, each a log message: waiting for a dependency (bounded at start, unbounded later), standby (another
relay holds the slot), making the slot (sweep first), streaming. The slot is the only store of the position:
every run of the stream starts where the server says it was confirmed (debezium-contract.md §8.3 rule 4).
"""

import threading
from contextlib import closing, suppress
from typing import Any, Final

import psycopg
import structlog
from confluent_kafka import KafkaException

from capture import slot
from capture.clock import SYSTEM_CLOCK, Clock
from capture.errors import ConfigurationRefused, DeliveryFailed, DependencyUnavailable, Stopped, StreamEnded
from capture.metrics import CaptureMetrics
from capture.ports import PRODUCER_ERRORS, CatchUp, Connect, OpenProducer, OpenReplication, Producer, Refuse
from capture.settings import RelaySettings
from capture.slot import RecreationBudget, SlotFailure, SlotState
from capture.stream import ChangeStream
from schemas.runbook_messages import PUBLISH_SKIPPED_PROVIDER_NONE

_REMIND_S: Final = 30.0
_FLUSH_S: Final = 5.0
_FIRST_PAUSE_S: Final = 0.1
_METADATA_TIMEOUT_S: Final = 3.0
_HOPELESS: Final = (
    "password authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "replication role",
    "permission denied",
    "could not translate host name",
)
"""What a server or libpq says when trying again cannot help; connection failures carry no SQLSTATE."""


class Relay:
    """Relays committed rows to Kafka until stopped. Synchronous: give it a thread or process of its own.

    Args:
        settings: see `RelaySettings`.
        connect: SQL connections, autocommit, formats pinned.
        open_replication: walsender connections of the same database.
        open_producer: a new producer for each generation.
        refuse: port for rows that cannot be relayed.
        catch_up: sweeps before a new slot is streamed.
        metrics: counters.
        clock: time.
    """

    def __init__(
        self,
        settings: RelaySettings,
        *,
        connect: Connect,
        open_replication: OpenReplication,
        open_producer: OpenProducer,
        refuse: Refuse,
        catch_up: CatchUp,
        metrics: CaptureMetrics,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._open_replication = open_replication
        self._open_producer = open_producer
        self._refuse = refuse
        self._catch_up = catch_up
        self._metrics = metrics
        self._clock = clock
        self._log = structlog.get_logger(__name__).bind(slot=settings.slot_name)
        self._budget = RecreationBudget(settings.recreations_per_hour)
        self._producer: Producer | None = None
        self._settled = False
        self._reminded_at_s: dict[str, float] = {}
        self._started_at_s = 0.0
        self._pause_s = _FIRST_PAUSE_S

    def run(self, stop: threading.Event) -> None:
        """Relay until `stop` is set.

        Raises:
            DependencyUnavailable: broker or database did not answer within `start_timeout_s`.
            ConfigurationRefused: wrong DSN, wal_level, missing table or topic, missing privilege.
        """
        if self._settings.mq_provider == "none":
            self._log.warning("relay.provider_none", message=PUBLISH_SKIPPED_PROVIDER_NONE)
            stop.wait()
            return
        self._started_at_s = self._clock.monotonic_s()
        try:
            self._require_topics(stop)
            while not stop.is_set():
                self._pause(stop, self._attempt(stop))
        finally:
            self._drop_producer()

    def _attempt(self, stop: threading.Event) -> float:
        """One attempt to stream; returns how long to pause before the next one, in seconds."""
        try:
            return self._stream(stop)
        except Stopped:
            return 0.0
        except DeliveryFailed as error:
            self._drop_producer()
            self._log.error(
                "relay.delivery_failed",
                message="delivery failed; the stream restarts from the confirmed position",
                error=str(error),
            )
        except StreamEnded as error:
            pause_s = self._after_stream_ended(error)
            if pause_s is not None:
                return pause_s
        except psycopg.Error as error:
            self._on_database_error(error)
        except ConfigurationRefused as error:
            if not self._settled:
                raise
            self._remind("relay.refused", "capture cannot go on", error=str(error))
            return self._settings.reconnect_s_max
        return self._back_off()

    def _stream(self, stop: threading.Event) -> float:
        with closing(self._connect()) as connection:
            slot.require_logical(connection)
            if not slot.try_lock(connection, self._settings.slot_name):
                return self._stand_by("another relay is about to stream")
            added = slot.ensure_publication(connection, self._settings.publication_name, self._settings.tables)
            if added:
                self._log.info("relay.publication_extended", message="publication made or extended", tables=list(added))
            state = self._ensure_slot(connection, stop)
            if state is None:
                return self._settings.standby_interval_s
            if state.active:
                return self._stand_by(f"process {state.active_pid} of the server streams it")
            with closing(self._open_replication()) as replication:
                system = replication.identify()
                replication.start(self._settings.slot_name, self._settings.publication_name)
                slot.unlock(connection, self._settings.slot_name)
                self._log.info(
                    "relay.streaming", message="streaming", epoch=system.epoch, confirmed_lsn=state.confirmed_flush_lsn
                )
                self._settled, self._pause_s = True, _FIRST_PAUSE_S
                connection.close()
                producer = self._producer = self._producer or self._open_producer()
                ChangeStream(
                    self._settings,
                    replication,
                    producer,
                    system=system,
                    confirmed_lsn=state.confirmed_flush_lsn or 0,
                    refuse=self._refuse,
                    metrics=self._metrics,
                    clock=self._clock,
                ).run(stop)
        return 0.0

    def _ensure_slot(self, connection: psycopg.Connection[Any], stop: threading.Event) -> SlotState | None:
        """The slot, made (and everything before it swept) if it is missing or lost; None if it must wait."""
        name = self._settings.slot_name
        state = slot.slot_state(connection, name)
        if state is not None and not state.lost:
            # Left by a relay that was killed between giving a swept slot its name and dropping the provisional one.
            slot.drop(connection, slot.unswept(name))
            return state
        if (state is not None or self._settled) and not self._budget.spend(self._clock.monotonic_s()):
            self._remind(
                "relay.slot_not_made",
                "slot lost again and not made: the hour's recreations are used up",
                lost=state is not None,
            )
            return None
        self._log.warning(
            "relay.slot_made", message="making the slot; rows before it are swept first", lost=state is not None
        )
        slot.create_unswept(connection, name)
        self._catch_up(stop)
        if stop.is_set():
            return None
        slot.adopt_swept(connection, name)
        return slot.slot_state(connection, name)

    def _stand_by(self, why: str) -> float:
        self._settled = True
        self._remind("relay.standby", "standing by: the slot is taken", why=why)
        return self._settings.standby_interval_s

    def _after_stream_ended(self, error: StreamEnded) -> float | None:
        """Pause before the next attempt where the reason decides it, None for the usual back-off."""
        match slot.classify(error.sqlstate, str(error)):
            case SlotFailure.TAKEN:
                return self._stand_by(str(error))
            case SlotFailure.LOST:
                self._log.error(
                    "relay.slot_lost", message="the slot is lost", error=str(error), sqlstate=error.sqlstate
                )
            case SlotFailure.CONFIGURATION:
                self._on_hopeless(str(error))
            case SlotFailure.TRANSIENT:
                self._on_database_error(error)
        if self._settled:
            self._metrics.reconnects.inc()
            self._let_deliveries_finish()
        return None

    def _on_database_error(self, error: Exception) -> None:
        sentence = str(error).strip()
        if isinstance(error, psycopg.ProgrammingError) or any(words in sentence for words in _HOPELESS):
            self._on_hopeless(sentence)
        elif not self._settled:
            self._bound_the_start("postgres", f"PostgreSQL does not answer: {sentence}")
        self._remind("relay.postgres_away", "PostgreSQL is away; trying again", error=sentence)

    def _on_hopeless(self, sentence: str) -> None:
        if not self._settled:
            raise ConfigurationRefused(f"PostgreSQL refuses the relay (DATABASE_URL): {sentence}")
        self._remind("relay.postgres_refuses", "PostgreSQL refuses the relay", error=sentence)

    def _require_topics(self, stop: threading.Event) -> None:
        """Wait for the broker and make sure that every captured table has its topic."""
        while not stop.is_set():
            if self._producer is None:
                self._producer = self._open_producer()
            try:
                known = self._producer.list_topics(timeout=_METADATA_TIMEOUT_S).topics
            except KafkaException as error:
                sentence = f"Kafka does not answer (KAFKA_BOOTSTRAP_SERVERS): {error.args[0]}"
                self._bound_the_start("kafka", sentence)
                self._remind("relay.waiting_for_kafka", "waiting for Kafka", error=sentence)
                self._pause(stop, self._back_off())
                continue
            missing = [topic for table in self._settings.tables if (topic := self._settings.topic(table)) not in known]
            if missing:
                raise ConfigurationRefused(
                    f"Kafka has no topic {', '.join(missing)}; run './bongsu topics apply' first"
                )
            return

    def _bound_the_start(self, dependency: str, sentence: str) -> None:
        waited_s = self._clock.monotonic_s() - self._started_at_s
        if waited_s >= self._settings.start_timeout_s:
            raise DependencyUnavailable(dependency, f"{sentence} (waited {waited_s:.0f} s, START_TIMEOUT_S)")

    def _let_deliveries_finish(self) -> None:
        """What is queued is valid and comes first again: fewer duplicates if it is gone before the next run."""
        if self._producer is not None:
            with suppress(*PRODUCER_ERRORS):
                self._producer.flush(_FLUSH_S)

    def _drop_producer(self) -> None:
        """End this generation: nothing queued may follow a record that failed."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(*PRODUCER_ERRORS):
                producer.purge(blocking=False)
                producer.flush(_FLUSH_S)

    def _back_off(self) -> float:
        pause_s, self._pause_s = self._pause_s, min(self._pause_s * 2, self._settings.reconnect_s_max)
        return pause_s

    def _remind(self, event: str, message: str, **fields: object) -> None:
        """Log a lasting condition at once and then every half minute."""
        now_s = self._clock.monotonic_s()
        if now_s - self._reminded_at_s.get(event, -_REMIND_S) >= _REMIND_S:
            self._reminded_at_s[event] = now_s
            self._log.warning(event, message=message, **fields)

    @staticmethod
    def _pause(stop: threading.Event, seconds: float) -> None:
        if seconds > 0:
            stop.wait(seconds)
