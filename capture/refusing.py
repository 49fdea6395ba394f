"""Refuses rows for good: the dead letter to its topic, then the source row to FAILED; I/O."""

import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Final, TypeAlias

import psycopg
import structlog

from capture.clock import SYSTEM_CLOCK, Clock
from capture.ports import Connect, OpenProducer, Producer
from capture.producing import Record, produce_and_wait
from capture.refusals import RefusedRow, dead_letter
from capture.settings import RelaySettings
from capture.sql import statement
from schemas.dead_letter import DeadLetter
from topics.registry import dead_letter_topic

WriteLetter: TypeAlias = Callable[[DeadLetter], None]
"""Returns once Kafka acknowledged the letter."""

_MARKED_BY: Final[Mapping[str, str]] = {
    "user_activity_source_outbox": "fail_user_activity_source_outbox",
    "notify_jobs": "fail_notify_jobs",
}


class RowRefuser:
    """The `Refuse` port: letter first, mark second, so that a FAILED row always has its dead letter.

    A mark that finds no row is no failure: the relay may read a row before it is visible; the sweeper meets it again.

    Args:
        write: writes a dead letter and waits for Kafka.
        version: the release, for the letters.
    """

    def __init__(
        self,
        settings: RelaySettings,
        *,
        write: WriteLetter,
        connect: Connect,
        version: str,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._settings = settings
        self._write = write
        self._connect = connect
        self._version = version
        self._clock = clock
        self._log = structlog.get_logger(__name__)

    def __call__(self, row: RefusedRow) -> None:
        """Refuse one row.

        Raises:
            DeliveryFailed: the letter was not acknowledged; nothing is marked.
        """
        now_ms = self._clock.wall_ns() // 1_000_000
        topic = self._settings.topic(row.table)
        self._write(dead_letter(row, topic=topic, version=self._version, now_ms=now_ms))
        marking = _MARKED_BY.get(row.table)
        if marking is None or row.row_id is None:
            return
        try:
            with closing(self._connect()) as connection:
                marked = connection.execute(statement(marking), {"id": int(row.row_id), "error": row.error}).rowcount
        except psycopg.Error as error:
            self._log.error(
                "relay.mark_failed",
                message="refused row could not be marked FAILED",
                row=row.identity,
                error=str(error),
            )
            return
        if marked == 0:
            self._log.warning(
                "relay.mark_missed", message="refused row is not there to be marked FAILED", row=row.identity
            )


class DeadLetterTopic:
    """Writes dead letters with a producer of its own and waits for each: they are few, and must be safe.

    Args:
        encode: a letter to the bytes of its topic (Avro with the registry's schema id).
        timeout_s: how long Kafka may take.
    """

    def __init__(
        self, open_producer: OpenProducer, encode: Callable[[DeadLetter], bytes], *, timeout_s: float = 30.0
    ) -> None:
        self._open_producer = open_producer
        self._encode = encode
        self._timeout_s = timeout_s
        self._producer: Producer | None = None
        # Relay and sweeper refuse from their own threads; one must not wait for the other's letter.
        self._one_at_a_time = threading.Lock()

    def __call__(self, letter: DeadLetter) -> None:
        """Write one letter.

        Raises:
            DeliveryFailed: it was not acknowledged in time.
        """
        with self._one_at_a_time:
            self._deliver(letter)

    def _deliver(self, letter: DeadLetter) -> None:
        record = Record(dead_letter_topic(letter.topic), letter.key, self._encode(letter))
        producer = self._producer or self._open_producer()
        self._producer = None
        produce_and_wait(producer, [record], self._timeout_s)
        self._producer = producer
