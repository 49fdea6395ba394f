"""Reads topics as they grow, beside all workers: the demo's own account of what passed through Kafka.

It follows from the start instead of reading back at the end, since the embedded broker drops what exceeds 5 MB of a
partition. What was dropped before it could be read shows as `gaps`; then nothing is claimed about those records.
"""

import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import orjson
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from devstack.demo.figures import AlertLine
from devstack.demo.ledger import DeadLetterFact
from schemas.alert import Alert
from schemas.avro import AvroCodec
from schemas.dead_letter import DeadLetter
from schemas.errors import SchemaError
from topics.registry import ACTIVITY_EVENTS, ALERTS, cdc_topic, topics

OUTBOX_TOPIC: Final = cdc_topic("user_activity_source_outbox")

_BATCH: Final = 2_000
_WAIT_S: Final = 0.2


def dead_letter_topics() -> list[str]:
    """Every dead letter topic of the registry."""
    return [topic.dead_letters for topic in topics().values() if topic.dead_letters is not None]


class Witness:
    """Follows the two input topics, all dead letter topics and the alerts, from its own thread.

    Args:
        consumer: any group, auto commit off; it is assigned partitions by hand.
        codec: with this project's schemas.
        inputs: whether to follow the input topics too; without end, nobody asks for their copies.
    """

    def __init__(self, consumer: Consumer, codec: AvroCodec, *, inputs: bool) -> None:
        self.gaps = 0
        """Records that were gone before they could be read."""
        self._consumer = consumer
        self._codec = codec
        self._topics = [ALERTS, *dead_letter_topics(), *([OUTBOX_TOPIC, ACTIVITY_EVENTS] if inputs else [])]
        self._lock = threading.Lock()
        self._arrivals: Counter[UUID] = Counter()
        self._dead_letters: list[DeadLetterFact] = []
        self._alerts: dict[str, Alert] = {}
        self._alert_log: list[Alert] = []
        self._next: dict[tuple[str, int], int] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="witness", daemon=True)

    def start(self) -> None:
        """Begin at the start of every partition."""
        known = self._consumer.list_topics(timeout=20).topics
        partitions = [
            TopicPartition(name, number, 0)
            for name in self._topics
            for number in (known[name].partitions if name in known else {})
        ]
        self._next = {(one.topic, one.partition): 0 for one in partitions}
        self._consumer.assign(partitions)
        self._thread.start()

    def stop(self) -> None:
        """Stop reading."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(10)
        self._consumer.close()

    def positions(self) -> dict[tuple[str, int], int]:
        """The next offset of each followed partition."""
        with self._lock:
            return dict(self._next)

    def arrivals(self) -> Counter[UUID]:
        """How often each event_id was seen on the input topics, readable records only."""
        with self._lock:
            return Counter(self._arrivals)

    def dead_letters(self) -> list[DeadLetterFact]:
        """All dead letters seen, in the order read."""
        with self._lock:
            return list(self._dead_letters)

    def reasons(self) -> dict[str, int]:
        """Dead letters by reason."""
        with self._lock:
            return dict(Counter(letter.reason for letter in self._dead_letters))

    def alerts(self) -> list[Alert]:
        """The last record of each alert."""
        with self._lock:
            return list(self._alerts.values())

    def alert_log(self) -> list[Alert]:
        """Every alert record, in the order read."""
        with self._lock:
            return list(self._alert_log)

    def _run(self) -> None:
        while not self._stopping.is_set():
            for message in self._consumer.consume(_BATCH, _WAIT_S):
                if message.error() is None:
                    self._take(message)
                elif message.error().code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 -- the client's own name
                    self._stopping.wait(_WAIT_S)

    def _take(self, message: Message) -> None:
        place = message.topic(), message.partition()
        with self._lock:
            self.gaps += max(0, message.offset() - self._next[place])
            self._next[place] = message.offset() + 1
            self._keep(place[0], message.value())

    def _keep(self, topic: str, value: bytes | None) -> None:
        if topic == OUTBOX_TOPIC:
            self._arrived(_outbox_event_id(value))
        elif topic == ACTIVITY_EVENTS:
            self._arrived(_avro_event_id(self._codec, value))
        elif topic == ALERTS:
            if value is not None:
                alert = Alert.from_avro(self._codec.decode("alert", value))
                self._alerts[alert.fingerprint] = alert
                self._alert_log.append(alert)
        elif value is not None:
            letter = DeadLetter.from_avro(self._codec.decode("dead-letter", value))
            self._dead_letters.append(
                DeadLetterFact(letter.topic, letter.partition, letter.offset, letter.source_identity, letter.reason)
            )

    def _arrived(self, event_id: UUID | None) -> None:
        if event_id is not None:
            self._arrivals[event_id] += 1


def alert_lines(alerts: Sequence[Alert]) -> tuple[AlertLine, ...]:
    """What the view shows of the alerts: firing ones first, then the newest."""
    lines = [
        AlertLine(
            alert.rule,
            alert.status,
            alert.severity,
            alert.starts_at_ms if alert.ends_at_ms is None else alert.ends_at_ms,
            alert.value,
            alert.threshold,
        )
        for alert in alerts
    ]
    return tuple(sorted(lines, key=lambda line: (line.status != "firing", -line.since_ms)))


def _outbox_event_id(value: bytes | None) -> UUID | None:
    """The event_id of a change event, whatever else is wrong with its row."""
    if value is None:
        return None
    try:
        envelope: dict[str, Any] = orjson.loads(value)
        after = envelope.get("payload", envelope).get("after")
        return UUID(after["event_id"]) if after else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _avro_event_id(codec: AvroCodec, value: bytes | None) -> UUID | None:
    try:
        return UUID(codec.decode("activity-event", value)["event_id"])
    except (SchemaError, ValueError):
        return None
