"""The progress record: how far a reader must have read to have seen every change up to a time (design.md §4).

Written once the slot's confirmed position has passed `lsn`, so every change committed before is in Kafka below
`end_offsets`. JSON, one partition, key = slot name.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from schemas.errors import Reason, SchemaError


@dataclass(frozen=True, slots=True)
class Progress:
    """One watermark.

    Attributes:
        epoch: `<system identifier>-<timeline>` of the source; records of two epochs are not compared.
        lsn: WAL position that the slot had confirmed.
        commit_ms: source clock, Unix ms, read before `lsn` was: every change committed up to it is covered.
        end_offsets: topic to the end offset of each partition (index = partition).
    """

    epoch: str
    lsn: int
    commit_ms: int
    end_offsets: Mapping[str, tuple[int, ...]]


def encode_progress(progress: Progress) -> bytes:
    """Write a progress record as JSON."""
    return orjson.dumps(
        {
            "epoch": progress.epoch,
            "lsn": progress.lsn,
            "commit_ms": progress.commit_ms,
            "end_offsets": {topic: list(ends) for topic, ends in progress.end_offsets.items()},
        }
    )


def decode_progress(value: bytes | None) -> Progress:
    """Read a progress record.

    Raises:
        SchemaError: null, not JSON, or a field is missing or of the wrong type.
    """
    if value is None:
        raise SchemaError(Reason.NULL_VALUE, "a progress record has no value")
    try:
        raw = orjson.loads(value)
        return Progress(
            epoch=str(raw["epoch"]),
            lsn=int(raw["lsn"]),
            commit_ms=int(raw["commit_ms"]),
            end_offsets={str(topic): tuple(int(end) for end in ends) for topic, ends in raw["end_offsets"].items()},
        )
    except orjson.JSONDecodeError as error:
        raise SchemaError(Reason.NOT_JSON, f"a progress record is not JSON: {error}") from error
    except KeyError as error:
        raise SchemaError(Reason.MISSING_FIELD, f"a progress record lacks {error}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise SchemaError(Reason.INVALID_FIELD, f"a progress record has a field of the wrong type: {error}") from error
