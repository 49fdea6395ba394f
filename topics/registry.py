"""The closed registry of topics, read from registry.toml; pure.

A topic is data: its name, key, schema, size, the one writer, its readers and its dead-letter topic. Adding one means a
block in registry.toml and a line in docs/topics.md; nothing else in the project spells a topic's name.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

CDC_PREFIX: Final = "cdc"
"""Debezium's `topic.prefix`: the first part of every change topic."""

ACTIVITY_EVENTS: Final = "activity.events"
ALERTS: Final = "alerts"
PROGRESS: Final = "bongsu.progress"

_DEAD_LETTER_SUFFIX: Final = ".dead-letters"
_DEAD_LETTER_RETENTION_MS: Final = 30 * 24 * 3_600_000
_MS_PER_HOUR: Final = 3_600_000

MAX_MESSAGE_BYTES: Final = 1_179_648
"""`max.message.bytes` of every topic: a record of MAX_RECORD_BYTES, and the dead letter that holds it whole, fit."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    Attributes:
        name: full name.
        key: what the record key is, in words or as a column name.
        schema: `cdc`, `progress` or the name of an Avro schema.
        partitions: number of partitions; readers' tables have as many.
        retention_ms: how long records are kept; None for ever.
        compacted: whether the last record per key is kept instead.
        min_compaction_lag_ms: how long every record is kept in a compacted topic.
        writer: the one process that writes it.
        readers: who reads it.
        dead_letters: the topic for records that a reader refused, None where none are.
        table: the captured table, None for topics that are not captured.
    """

    name: str
    key: str
    schema: str
    partitions: int
    retention_ms: int | None
    compacted: bool
    min_compaction_lag_ms: int
    writer: str
    readers: tuple[str, ...]
    dead_letters: str | None
    table: str | None

    def config(self) -> dict[str, str]:
        """The broker's settings for this topic."""
        settings = {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "max.message.bytes": str(MAX_MESSAGE_BYTES),
        }
        if self.retention_ms is not None:
            settings["retention.ms"] = str(self.retention_ms)
        if self.min_compaction_lag_ms:
            settings["min.compaction.lag.ms"] = str(self.min_compaction_lag_ms)
        return settings


def cdc_topic(table: str) -> str:
    """The topic of a table of schema public."""
    return f"{CDC_PREFIX}.public.{table}"


def dead_letter_topic(topic: str) -> str:
    """Where records refused from `topic` go."""
    return topic + _DEAD_LETTER_SUFFIX


def _topic(entry: Mapping[str, Any]) -> Topic:
    hours = int(entry["retention_hours"])
    return Topic(
        name=entry["name"],
        key=entry["key"],
        schema=entry["schema"],
        partitions=int(entry["partitions"]),
        retention_ms=hours * _MS_PER_HOUR if hours else None,
        compacted=bool(entry.get("compacted", False)),
        min_compaction_lag_ms=int(entry.get("min_compaction_lag_hours", 0)) * _MS_PER_HOUR,
        writer=entry["writer"],
        readers=tuple(entry["readers"]),
        dead_letters=dead_letter_topic(entry["name"]) if entry["dead_letters"] else None,
        table=entry.get("table"),
    )


def _dead_letters_of(topic: Topic) -> Topic:
    return Topic(
        name=dead_letter_topic(topic.name),
        key="key of the refused record",
        schema="dead-letter",
        partitions=1,
        retention_ms=_DEAD_LETTER_RETENTION_MS,
        compacted=False,
        min_compaction_lag_ms=0,
        writer="relay" if topic.writer == "relay" and not topic.readers else topic.readers[0],
        readers=("operators",),
        dead_letters=None,
        table=None,
    )


@cache
def topics() -> Mapping[str, Topic]:
    """Every topic by name: those of registry.toml and one dead-letter topic for each that has one."""
    text = resources.files("topics").joinpath("registry.toml").read_text(encoding="utf-8")
    listed = [_topic(entry) for entry in tomllib.loads(text)["topic"]]
    dead = [_dead_letters_of(topic) for topic in listed if topic.dead_letters]
    return {topic.name: topic for topic in (*listed, *dead)}


def captured_tables() -> Mapping[str, Topic]:
    """Captured table to its topic, in the registry's order."""
    return {topic.table: topic for topic in topics().values() if topic.table is not None}


def topics_read_by(role: str) -> tuple[Topic, ...]:
    """The topics that a worker role reads, in the registry's order."""
    return tuple(topic for topic in topics().values() if role in topic.readers)
