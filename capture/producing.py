"""Producing a few records and waiting for all of them: dead letters, swept pages, progress."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from capture.errors import DeliveryFailed
from capture.ports import PRODUCER_ERRORS, Producer


@dataclass(frozen=True, slots=True)
class Record:
    """One record; without a partition the producer's partitioner (murmur2_random) chooses."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int | None = None


def produce_and_wait(producer: Producer, records: Sequence[Record], timeout_s: float) -> None:
    """Produce records in order and wait until Kafka acknowledged each.

    Raises:
        DeliveryFailed: one was not; what is queued is purged and the producer must not be used again, since a
            record that arrives after all would stand behind newer ones.
    """
    failures: list[str] = []
    acknowledged = [0]

    def delivered(error: Any, _message: Any) -> None:
        if error is None:
            acknowledged[0] += 1
        else:
            failures.append(error.str())

    try:
        for record in records:
            placed = {} if record.partition is None else {"partition": record.partition}
            producer.produce(
                record.topic, record.value, record.key, headers=list(record.headers), on_delivery=delivered, **placed
            )
        producer.flush(timeout_s)
    except (BufferError, *PRODUCER_ERRORS) as error:
        failures.append(str(error))
    if failures or acknowledged[0] < len(records):
        producer.purge(blocking=False)
        why = failures[0] if failures else f"no acknowledgement within {timeout_s:.0f} s"
        raise DeliveryFailed(f"{records[0].topic}: {why}")
