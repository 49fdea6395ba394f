"""Writing activity.events: new events, repeats of stored ones, and records that must be refused.

A repeat goes out only once its event is stored: until then nobody could say which of the two bodies comes first.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

import psycopg
from confluent_kafka import KafkaError, Message, Producer

from devstack.demo.plan import Send, SendKind
from devstack.demo.records import encode
from schemas.avro import AvroCodec
from topics.registry import ACTIVITY_EVENTS

_LOOK_EVERY_S: Final = 0.3
_HELD_MAX: Final = 5_000


class Sender:
    """One producer that does not use the outbox: a thread with a Kafka producer.

    Args:
        producer: configured with acks=all and partitioner=murmur2_random.
        codec: with this project's schema registered.
        database_url: where to look whether an event is stored.
        on_sent: called with each record, its partition and its offset once acknowledged.
    """

    def __init__(
        self,
        producer: Producer,
        codec: AvroCodec,
        database_url: str,
        on_sent: Callable[[Send, int, int], None],
    ) -> None:
        self._producer = producer
        self._codec = codec
        self._database_url = database_url
        self._on_sent = on_sent
        self._tasks: queue.Queue[Send] = queue.Queue()
        self._held: list[Send] = []
        self._finishing = threading.Event()
        self._stopping = threading.Event()
        self.failures: list[str] = []
        """Records that Kafka did not take, as sentences."""
        self._thread = threading.Thread(target=self._run, name="topic sender", daemon=True)
        self._thread.start()

    def put(self, send: Send) -> None:
        """Hand over a record."""
        self._tasks.put(send)

    def finish(self) -> None:
        """Nothing follows: send what is held as soon as it may go, then end."""
        self._finishing.set()

    def stop(self) -> None:
        """Give up what is not yet sent."""
        self._stopping.set()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the thread; False when it is still at work after `timeout_s`."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._take_queued()
            self._release_stored()
            self._producer.poll(0)
            if self._finishing.is_set() and self._tasks.empty() and not self._held:
                break
            self._stopping.wait(_LOOK_EVERY_S)
        self._producer.flush(0 if self._stopping.is_set() else -1)

    def _take_queued(self) -> None:
        while not self._tasks.empty():
            send = self._tasks.get()
            if send.kind in (SendKind.REPEAT, SendKind.CONFLICT):
                self._held.append(send)
            else:
                self._produce(send)
        # Without end, repeats are decoration: the oldest give way when the store cannot follow.
        if not self._finishing.is_set():
            del self._held[:-_HELD_MAX]

    def _release_stored(self) -> None:
        if not self._held:
            return
        try:
            stored = _stored(self._database_url, [send.draft.event_id for send in self._held])
        except psycopg.OperationalError:
            return
        for send in self._held:
            if send.draft.event_id in stored:
                self._produce(send)
        self._held = [send for send in self._held if send.draft.event_id not in stored]

    def _produce(self, send: Send) -> None:
        def acknowledged(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self._on_sent(send, message.partition(), message.offset())
            else:
                self.failures.append(f"{send.kind} {send.draft.event_id}: {error.str()}")

        key, value = send.draft.partition_key.encode(), encode(self._codec, send.draft)
        while not self._stopping.is_set():
            try:
                self._producer.produce(ACTIVITY_EVENTS, key=key, value=value, on_delivery=acknowledged)
                return
            except BufferError:
                self._producer.poll(0.1)


def _stored(database_url: str, event_ids: Sequence[UUID]) -> set[UUID]:
    with psycopg.connect(database_url, connect_timeout=5) as connection:
        statement = "SELECT event_id FROM user_activity_event WHERE event_id = ANY(%s)"
        rows: list[tuple[Any, ...]] = connection.execute(statement, [list(event_ids)]).fetchall()
    return {row[0] for row in rows}
