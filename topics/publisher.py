"""Publishes records and waits for Kafka's acknowledgement; the I/O behind dead letters, alerts and `produce`.

An asyncio face of one confluent-kafka producer (acks=all, idempotent). Its delivery callbacks are served by one thread,
so a caller awaits the offset without blocking the event loop.
"""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

_POLL_S: Final = 0.1


class PublishFailed(Exception):
    """Kafka did not acknowledge a record.

    Attributes:
        topic: where it was to go.
        error: the client's words.
        retriable: whether trying again can help.
    """

    def __init__(self, topic: str, error: str, *, retriable: bool) -> None:
        super().__init__(f"{topic}: {error}")
        self.topic = topic
        self.error = error
        self.retriable = retriable


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to publish; `partition` None lets murmur2 of the key decide, as Kafka's Java client does."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    partition: int | None = None


class Publisher:
    """One producer for a process.

    Args:
        producer: configured with acks=all, enable.idempotence and partitioner=murmur2_random.
    """

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._stopping = threading.Event()
        self._poller = threading.Thread(target=self._serve_callbacks, name="publisher", daemon=True)
        self._poller.start()

    async def publish(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        *,
        headers: Sequence[tuple[str, bytes | None]] = (),
        partition: int | None = None,
    ) -> int:
        """Publish one record.

        Returns:
            the offset that Kafka gave it.

        Raises:
            PublishFailed: Kafka did not acknowledge it.
        """
        return (await self.publish_many([Outgoing(topic, key, value, headers, partition)]))[0]

    async def publish_many(self, messages: Sequence[Outgoing]) -> list[int]:
        """Publish records in order and wait for all of them.

        Returns:
            the offsets, in the records' order.

        Raises:
            PublishFailed: the first record that was not acknowledged; others may have been.
        """
        loop = asyncio.get_running_loop()
        futures = [self._enqueue(message, loop) for message in messages]
        results = await asyncio.gather(*futures, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if isinstance(result, int)]

    async def close(self, timeout_s: float) -> None:
        """Wait for what is queued, at most `timeout_s`, and end the callback thread."""
        await asyncio.to_thread(self._producer.flush, timeout_s)
        self._stopping.set()
        await asyncio.to_thread(self._poller.join, timeout_s)

    def _enqueue(self, message: Outgoing, loop: asyncio.AbstractEventLoop) -> "asyncio.Future[int]":
        future: asyncio.Future[int] = loop.create_future()

        def delivered(error: KafkaError | None, record: Message) -> None:
            loop.call_soon_threadsafe(_settle, future, message.topic, error, record)

        arguments: dict[str, Any] = {"headers": list(message.headers), "on_delivery": delivered}
        if message.partition is not None:
            arguments["partition"] = message.partition
        try:
            self._producer.produce(message.topic, message.value, message.key, **arguments)
        except BufferError as error:
            future.set_exception(PublishFailed(message.topic, f"the producer's queue is full: {error}", retriable=True))
        except KafkaException as error:
            future.set_exception(_failure(message.topic, error.args[0]))
        return future

    def _serve_callbacks(self) -> None:
        while not self._stopping.is_set():
            self._producer.poll(_POLL_S)


def _settle(future: "asyncio.Future[int]", topic: str, error: KafkaError | None, record: Message) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(record.offset())
    else:
        future.set_exception(_failure(topic, error))


def _failure(topic: str, error: KafkaError) -> PublishFailed:
    permanent = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.TOPIC_AUTHORIZATION_FAILED}
    return PublishFailed(topic, error.str(), retriable=error.code() not in permanent)
