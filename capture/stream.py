"""One run of the stream: read, decode, produce, confirm what Kafka acknowledged; until stopped or broken.

Runs in one thread: delivery callbacks are served by its own `poll`, so position and counters need no lock.
Every failure leaves by an exception; the next run starts from the slot's confirmed position with a new
`Position`, and late callbacks of this run reach objects that nobody reads any more. The standby status has
its own timer, kept also while the producer's queue is full and the socket is not read (debezium-contract.md
§8.3 rule 1).
"""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog

from capture.clock import SYSTEM_CLOCK, Clock
from capture.envelope import Event, Origin, Stamp, TableEncoder
from capture.errors import DeliveryFailed, KeyColumnsMissing, MalformedFrame, Stopped, UndecodableValue
from capture.metrics import CaptureMetrics
from capture.pgoutput import (
    Begin,
    Commit,
    Decoder,
    Delete,
    Insert,
    Keepalive,
    LogicalMessage,
    Message,
    Relation,
    Row,
    Update,
)
from capture.ports import PRODUCER_ERRORS, Delivered, Producer, Refuse
from capture.position import Position, Transaction
from capture.refusals import RowPosition, oversize, refused_row
from capture.replication import ReplicationConnection, System
from capture.settings import RelaySettings
from schemas.change import EPOCH_HEADER
from schemas.errors import Reason

_BURST_FRAMES: Final = 256
_IDLE_WAIT_S: Final = 0.1
_ACK_WAIT_S: Final = 0.002
_FULL_WAIT_S: Final = 0.05
_SOURCE_OUTBOX: Final = "user_activity_source_outbox"


class ChangeStream:
    """One connection, one producer, one position.

    Args:
        connection: streaming already (`start` was called).
        system: who the server is; its epoch goes on every record.
        confirmed_lsn: the slot's confirmed position at start: `sequence[0]` of the first transaction.
        refuse: port for rows that cannot be relayed.
    """

    def __init__(
        self,
        settings: RelaySettings,
        connection: ReplicationConnection,
        producer: Producer,
        *,
        system: System,
        confirmed_lsn: int,
        refuse: Refuse,
        metrics: CaptureMetrics,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._producer = producer
        self._origin = Origin(settings.connector_version, settings.topic_prefix, system.database)
        self._epoch = system.epoch
        self._max_record_bytes = settings.max_record_bytes
        self._headers = [(EPOCH_HEADER, system.epoch.encode())]
        self._refuse_row = refuse
        self._metrics = metrics
        self._clock = clock
        self._log = structlog.get_logger(__name__)
        self._decoder = Decoder()
        self._position = Position(confirmed_lsn)
        self._tables: dict[int, TableEncoder | KeyColumnsMissing | None] = {}
        self._transaction: Transaction | None = None
        self._stamp = Stamp(0, confirmed_lsn, None)
        self._delivered: Delivered = _no_transaction
        self._ordinal = 0
        self._previous_commit_lsn = confirmed_lsn
        self._failure: str | None = None
        self._published: Counter[str] = Counter()
        self._reported_lsn = 0
        self._reported_at_s = 0.0
        self._stop = threading.Event()
        self._handlers: dict[type, Callable[[Any], None]] = {
            Insert: self._on_insert,
            Begin: self._on_begin,
            Commit: self._on_commit,
            Relation: self._on_relation,
            Keepalive: self._on_keepalive,
            LogicalMessage: self._on_logical_message,
            Update: self._on_update,
            Delete: self._on_delete,
        }

    @property
    def position(self) -> Position:
        """What is confirmed and what holds it back."""
        return self._position

    def run(self, stop: threading.Event) -> None:
        """Relay until `stop` is set; then wait for what is queued, at most `stop_timeout_s`, and confirm it.

        Raises:
            StreamEnded: the connection broke or the server ended it.
            DeliveryFailed: Kafka refused a record for good.
            MalformedFrame: the server broke the protocol.
        """
        self._stop = stop
        try:
            while not stop.is_set():
                self._tend()
                if not self._read_burst():
                    self._wait()
            self._settle(self._settings.stop_timeout_s)
        finally:
            self._report_published()

    def _read_burst(self) -> bool:
        """Handle up to a burst of frames; False once none is left to read."""
        read, decode, handlers = self._connection.read, self._decoder.decode, self._handlers
        for _ in range(_BURST_FRAMES):
            frame = read()
            if frame is None:
                return False
            message: Message = decode(frame)
            handler = handlers.get(type(message))
            if handler is not None:
                handler(message)
        return True

    def _wait(self) -> None:
        # A row wakes the wait, an acknowledgement does not: look for those often while any is due.
        self._connection.wait(_ACK_WAIT_S if self._position.outstanding else _IDLE_WAIT_S)

    def _tend(self, wait_s: float = 0.0) -> None:
        """Serve acknowledgements, waiting for the first at most `wait_s`, and keep the server informed."""
        self._serve_deliveries(wait_s)
        now_s = self._clock.monotonic_s()
        since_s = now_s - self._reported_at_s
        moved = self._position.confirmed > self._reported_lsn
        if since_s >= self._settings.status_interval_s or (moved and since_s >= self._settings.confirm_interval_s):
            self._report(now_s)

    def _serve_deliveries(self, wait_s: float) -> None:
        try:
            self._producer.poll(wait_s)
        except PRODUCER_ERRORS as error:
            # Fatal: the producer stopped itself rather than let a record overtake a failed one.
            raise DeliveryFailed(f"the producer stopped: {error.__cause__ or error}") from error
        if self._failure is not None:
            raise DeliveryFailed(self._failure)

    def _report(self, now_s: float) -> None:
        confirmed = self._position.confirmed
        self._connection.confirm(confirmed, self._clock.wall_ns() // 1000)
        if now_s - self._reported_at_s >= self._settings.status_interval_s:
            self._report_published()
        self._reported_lsn, self._reported_at_s = confirmed, now_s

    def _report_published(self) -> None:
        for topic, count in self._published.items():
            self._metrics.published(topic, count, source_outbox=topic.endswith("." + _SOURCE_OUTBOX))
        self._published.clear()

    def _settle(self, timeout_s: float) -> None:
        deadline_s = self._clock.monotonic_s() + timeout_s
        # An open transaction keeps one place in the line: its rows come again on the next start.
        still_open = 1 if self._transaction is not None else 0
        while self._position.outstanding > still_open and self._clock.monotonic_s() < deadline_s:
            self._tend(_FULL_WAIT_S)
        self._report(self._clock.monotonic_s())

    # One method for each message of the stream.

    def _on_begin(self, message: Begin) -> None:
        self._transaction = self._position.begin()
        self._delivered = self._delivery_callback(self._transaction)
        self._stamp = Stamp(message.commit_us, self._previous_commit_lsn, message.xid)
        self._ordinal = 0

    def _on_commit(self, message: Commit) -> None:
        if self._transaction is None:
            raise MalformedFrame("a commit without a begin")
        self._transaction.committed(message.end_lsn)
        self._transaction = None
        self._previous_commit_lsn = message.end_lsn
        self._metrics.transactions.inc()

    def _on_insert(self, message: Insert) -> None:
        table = self._table(message.relation_id, message.row, message.lsn)
        if table is None:
            return
        try:
            event = table.insert(message.row, self._stamp, message.lsn, self._clock.wall_ns())
        except UndecodableValue as error:
            self._refuse(table, message.row, message.lsn, None, reason=Reason.INVALID_FIELD, error=str(error))
            return
        self._produce_or_refuse(table, message.row, message.lsn, event)

    def _on_update(self, message: Update) -> None:
        table = self._table(message.relation_id, message.row, message.lsn)
        if table is not None:
            now_ns = self._clock.wall_ns()
            self._produce_changes(
                table,
                message.row,
                message.lsn,
                lambda: table.update(
                    message.old, message.row, self._stamp, message.lsn, now_ns, old_whole=message.old_whole
                ),
            )

    def _on_delete(self, message: Delete) -> None:
        table = self._table(message.relation_id, message.old, message.lsn)
        if table is not None:
            now_ns = self._clock.wall_ns()
            self._produce_changes(
                table, message.old, message.lsn, lambda: table.delete(message.old, self._stamp, message.lsn, now_ns)
            )

    def _on_keepalive(self, message: Keepalive) -> None:
        self._position.reached(message.wal_end)
        if message.reply_requested:
            self._serve_deliveries(0)
            self._report(self._clock.monotonic_s())

    def _on_logical_message(self, message: LogicalMessage) -> None:
        if not message.transactional:
            self._position.reached(message.lsn)

    def _on_relation(self, message: Relation) -> None:
        if message.schema != "public" or message.table not in self._settings.tables:
            self._log.warning(
                "relay.table_not_captured",
                message="publication carries a table that is not captured",
                table=message.table,
            )
            self._tables[message.relation_id] = None
            return
        keys = self._settings.key_columns.get(message.table)
        try:
            self._tables[message.relation_id] = TableEncoder(message, self._origin, keys, self._decoder.types)
        except KeyColumnsMissing as error:
            self._log.error(
                "relay.key_missing",
                message="captured table lacks its key column",
                table=message.table,
                error=str(error),
            )
            self._tables[message.relation_id] = error

    def _table(self, relation_id: int, row: Row, lsn: int) -> TableEncoder | None:
        """The row's table; None if it is not captured (counted) or has no key (refused)."""
        self._ordinal += 1
        table = self._tables.get(relation_id, _UNKNOWN)
        if isinstance(table, TableEncoder):
            return table
        relation = self._decoder.relations.get(relation_id)
        if table is _UNKNOWN or relation is None:
            raise MalformedFrame(f"a row of relation {relation_id}, which the server did not describe")
        if table is None:
            self._metrics.unrouted_rows.labels(relation.table).inc()
            return None
        keyless = TableEncoder(relation, self._origin, None, self._decoder.types)
        self._refuse(keyless, row, lsn, None, reason=Reason.MISSING_FIELD, error=str(table))
        return None

    # Producing and refusing.

    def _produce_changes(self, table: TableEncoder, row: Row, lsn: int, encode: Callable[[], Sequence[Event]]) -> None:
        try:
            events = encode()
        except UndecodableValue as error:
            self._refuse(table, row, lsn, None, reason=Reason.INVALID_FIELD, error=str(error))
            return
        for event in events:
            self._produce_or_refuse(table, row, lsn, event)

    def _produce_or_refuse(self, table: TableEncoder, row: Row, lsn: int, event: Event) -> None:
        too_large = oversize(event, self._max_record_bytes)
        if too_large is None:
            self._produce(table.topic, event)
        else:
            self._refuse(table, row, lsn, event, reason=Reason.TOO_LARGE, error=too_large)

    def _produce(self, topic: str, event: Event) -> None:
        transaction = self._transaction
        if transaction is None:
            raise MalformedFrame("a row outside a transaction")
        transaction.sent()
        while True:
            try:
                self._producer.produce(
                    topic, event.value, event.key, headers=self._headers, on_delivery=self._delivered
                )
                return
            except BufferError:
                self._wait_for_room()
            except Exception as error:
                raise DeliveryFailed(f"{topic}: the producer takes no records: {error}") from error

    def _wait_for_room(self) -> None:
        """Kafka is slower than the log: the socket stays unread while the status goes on."""
        self._tend(_FULL_WAIT_S)
        if self._stop.is_set():
            self._settle(self._settings.stop_timeout_s)
            raise Stopped

    def _delivery_callback(self, transaction: Transaction) -> Delivered:
        acknowledged, published = transaction.acknowledged, self._published

        def delivered(error: Any, message: Any) -> None:
            if error is None:
                acknowledged()
                published[message.topic()] += 1
            elif self._failure is None:
                self._failure = f"{message.topic()}: {error.str()}"
                self._metrics.published(
                    message.topic(), 1, source_outbox=message.topic().endswith(_SOURCE_OUTBOX), result="fail"
                )

        return delivered

    def _refuse(
        self, table: TableEncoder, row: Row, lsn: int, event: Event | None, *, reason: Reason, error: str
    ) -> None:
        position = RowPosition(lsn, self._ordinal, self._stamp.commit_us, self._epoch)
        refused = refused_row(table, row, event, position=position, reason=reason, error=error)
        self._log.warning(
            "relay.row_refused", message="row refused", row=refused.identity, reason=reason.value, error=error
        )
        self._refuse_row(refused)
        self._metrics.dead_letters.labels(refused.table, reason.value).inc()
        # Refusing talks to Kafka and the database: the server must hear from us before the next row.
        self._report(self._clock.monotonic_s())


_UNKNOWN: Final = KeyColumnsMissing("unknown relation")


def _no_transaction(error: Any, message: Any) -> None:
    raise MalformedFrame("a delivery outside a transaction")
