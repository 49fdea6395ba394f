"""What the engine relies on in Faust and aiokafka, checked before a worker starts.

Both are pinned; this check makes a change of either a sentence at the start instead of a lost record.
"""

import inspect
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any, Final

from aiokafka.consumer.consumer import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher, FetchResult
from faust.app.base import App
from faust.streams import Stream
from faust.transport.conductor import Conductor
from faust.transport.consumer import Consumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Producer

PINNED: Final = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0"}


class FaustChanged(Exception):
    """The installed Faust or aiokafka is not the one that the engine was written against.

    Attributes:
        differences: one sentence per difference.
    """

    def __init__(self, differences: list[str]) -> None:
        super().__init__("; ".join(differences))
        self.differences = differences


def check() -> None:
    """Compare the installed packages with what the engine overrides and reads.

    Raises:
        FaustChanged: with every difference.
    """
    differences = [*_versions(), *_signatures(), *_sources()]
    if differences:
        raise FaustChanged(differences)


def _versions() -> Iterator[str]:
    for name, wanted in PINNED.items():
        installed = version(name)
        if installed != wanted:
            yield f"{name} is {installed}, the engine is written for {wanted}"


def _signatures() -> Iterator[str]:
    for function, wanted in _expected_signatures():
        found = tuple(inspect.signature(function).parameters)
        if found != wanted:
            yield f"{function.__qualname__} takes {found}, expected {wanted}"


def _expected_signatures() -> list[tuple[Callable[..., Any], tuple[str, ...]]]:
    return [
        (Consumer.getmany, ("self", "timeout")),
        (Consumer.ack, ("self", "message")),
        (Consumer.perform_seek, ("self",)),
        (Consumer._add_gap, ("self", "tp", "offset_from", "offset_to")),
        (Consumer._filter_committable_offsets, ("self", "tps")),
        (Consumer._commit_offsets, ("self", "offsets", "start_new_transaction")),
        (Consumer.on_partitions_revoked, ("self", "revoked")),
        (Consumer.on_partitions_assigned, ("self", "assigned", "generation_id")),
        (AIOKafkaConsumerThread._create_worker_consumer, ("self", "transport")),
        (
            AIOKafkaConsumerThread._fetch_records,
            ("self", "consumer", "active_partitions", "timeout", "max_records"),
        ),
        (AIOKafkaConsumerThread._commit, ("self", "offsets")),
        (Producer.send_soon, ("self", "fut")),
        (Producer.flush, ("self",)),
        (Conductor._build_handler, ("self", "tp", "channels")),
        (App._stop_consumer, ("self",)),
        (App._create_directories, ("self",)),
        (App._on_agent_error, ("self", "agent", "exc")),
        (Fetcher.fetched_records, ("self", "partitions", "timeout", "max_records")),
    ]


def _sources() -> Iterator[str]:
    """Facts that no signature shows: the lines on which an override's reasoning rests."""
    for function, lines in _expected_lines():
        source = inspect.getsource(function)
        for line in lines:
            if line not in source:
                yield f"{function.__qualname__} no longer contains {line!r}"


def _expected_lines() -> list[tuple[Callable[..., Any], tuple[str, ...]]]:
    return [
        # The read-offset filter asks `_read_offset[tp]`, and None means no filter and no gap.
        (
            Consumer._drain_messages,
            ("get_read_offset = self._read_offset.__getitem__", "if r_offset is None or offset >= r_offset"),
        ),
        # Commits: offsets are chosen first, then the producer is flushed, then Kafka is told.
        (Consumer._commit_tps, ("commit_offsets = self._filter_committable_offsets(tps)",)),
        (Consumer._commit_offsets, ("await self.app.producer.flush()",)),
        # A stream without acks acknowledges only what it skips, through `event.ack()`.
        (Stream._py_aiter, ("do_ack = self.enable_acks", "(do_ack or value is skipped_value)")),
        # The position is moved when records are drained, by exactly these records.
        (FetchResult.getall, ("self._update_position()",)),
        (AIOKafkaConsumer.start, ("fetch_max_wait_ms=self._fetch_max_wait_ms",)),
    ]
