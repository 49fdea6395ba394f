"""Reading dead-letter topics: find, filter and show what was refused, with its raw bytes."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from ops.cluster import RawRecord, records
from ops.errors import NotFound
from ops.registry import Decoder, registry
from ops.settings_model import Settings


def time_text(timestamp_ms: int) -> str:
    """Unix milliseconds as UTC text, e.g. 2026-02-20T03:04:05.678Z."""
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def dead_letter_topics(topic: str | None) -> list[str]:
    """All dead-letter topics, or the one that belongs to `topic` (its own name works too). Raises NotFound."""
    from topics.registry import topics

    known = topics()
    every = [one.name for one in known.values() if one.schema == "dead-letter"]
    if topic is None:
        return every
    if topic in every:
        return [topic]
    found = known.get(topic)
    if found is None or found.dead_letters is None:
        raise NotFound(f"{topic} is no topic with dead letters; ./bongsu topics list shows all topics.")
    return [found.dead_letters]


def shown_bytes(value: bytes | None) -> dict[str, str] | None:
    """Raw bytes for people: as text when they are UTF-8 without control characters, else as base64."""
    if value is None:
        return None
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if text and all(letter.isprintable() or letter in "\n\t" for letter in text):
        return {"encoding": "utf-8", "data": text}
    if not value:
        return {"encoding": "utf-8", "data": ""}
    return {"encoding": "base64", "data": base64.b64encode(value).decode()}


def summary(at: RawRecord, letter: dict[str, Any]) -> dict[str, Any]:
    """One row of the list: when, where it stood, why, what it was made from, and where the letter lies."""
    return {
        "time": time_text(letter["first_failed_ms"]),
        "topic": letter["topic"],
        "position": f"{letter['partition']}/{letter['offset']}",
        "reason": letter["reason"],
        "source_identity": letter["source_identity"],
        "role": letter["role"],
        "attempts": letter["attempts"],
        "error": letter["error"],
        "letter": f"{at.topic}/{at.partition}/{at.offset}",
    }


def whole(at: RawRecord, letter: dict[str, Any]) -> dict[str, Any]:
    """Everything about one dead letter, raw bytes readable."""
    headers = [{"name": header["name"], "value": shown_bytes(header["value"])} for header in letter["headers"]]
    digest = letter["value_sha256"]
    return {
        **summary(at, letter),
        "record_time": time_text(letter["timestamp_ms"]),
        "version": letter["version"],
        "headers": headers,
        "key": shown_bytes(letter["key"]),
        "value": shown_bytes(letter["value"]),
        "value_bytes": letter["value_bytes"],
        "value_sha256": digest.hex() if digest is not None else None,
    }


def find(settings: Settings, topic: str | None, reason: str | None) -> Iterator[dict[str, Any]]:
    """Summaries of every dead letter that matches, topic by topic, each in its order."""
    with registry(settings) as client:
        decoder = Decoder(client)
        for name in dead_letter_topics(topic):
            for record in records(settings, name):
                if record is None:
                    break
                letter = decoder.decode("dead-letter", record.value)
                if reason is None or letter["reason"] == reason:
                    yield summary(record, letter)


def fetch(settings: Settings, topic: str, partition: int, offset: int) -> dict[str, Any]:
    """One dead letter by the position of the refused record, or by its own position in a dead-letter topic.

    Raises NotFound.
    """
    (name,) = dead_letter_topics(topic)
    own = name == topic
    with registry(settings) as client:
        decoder = Decoder(client)
        for record in records(settings, name, at=(partition, offset) if own else None):
            if record is None:
                break
            if own and record.offset != offset:
                break
            letter = decoder.decode("dead-letter", record.value)
            if own or (letter["partition"], letter["offset"]) == (partition, offset):
                return whole(record, letter)
    raise NotFound(f"there is no dead letter for {topic}/{partition}/{offset}; ./bongsu dead-letters list shows all.")
