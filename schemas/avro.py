"""Records as Avro in the Confluent wire format: byte 0x00, schema id (4 bytes, big-endian), body.

Pure: ids and writers' schemas are put in from outside (`topics.schema_registry` talks to the registry), so decoding a
batch never waits for a network. Times stay integers (logical types are not converted), since `schemas` counts in
milliseconds and microseconds; only `occurred_at` of an activity event becomes a datetime.
"""

import io
import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any, Final

import fastavro
import orjson

from schemas.errors import Reason, SchemaError

SCHEMA_NAMES: Final = ("activity-event", "alert", "dead-letter")
"""The schemas that Bongsu writes and reads."""

_FRAME: Final = struct.Struct(">bI")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def schema_text(name: str) -> str:
    """The .avsc text of one of `SCHEMA_NAMES`, as it is registered."""
    if name not in SCHEMA_NAMES:
        raise KeyError(f"no schema {name!r}; there are {', '.join(SCHEMA_NAMES)}")
    return resources.files("schemas").joinpath("avro_files", f"{name}.avsc").read_text(encoding="utf-8")


def _parsed(text: str) -> Any:
    return fastavro.parse_schema(_without_logical_types(orjson.loads(text)))


def _without_logical_types(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_logical_types(value) for key, value in node.items() if key != "logicalType"}
    if isinstance(node, list):
        return [_without_logical_types(item) for item in node]
    return node


class AvroCodec:
    """Bytes to records and back, for the schemas of this project.

    Args:
        ids: schema name to the id that the registry gave it.
    """

    def __init__(self, ids: Mapping[str, int]) -> None:
        self._ids = dict(ids)
        self._readers: dict[str, Any] = {name: _parsed(schema_text(name)) for name in SCHEMA_NAMES}
        self._writers: dict[int, Any] = {ids[name]: self._readers[name] for name in ids}

    def knows(self, schema_id: int) -> bool:
        """Whether a writer's schema was put in for this id."""
        return schema_id in self._writers

    def add_writer_schema(self, schema_id: int, schema_json: str) -> None:
        """Put in the schema that some producer writes with.

        Raises:
            SchemaError: UNKNOWN_SCHEMA_ID when the text is no Avro schema.
        """
        try:
            self._writers[schema_id] = _parsed(schema_json)
        except Exception as error:
            raise SchemaError(Reason.UNKNOWN_SCHEMA_ID, f"schema {schema_id} is not Avro: {error}") from error

    @staticmethod
    def schema_id_of(value: bytes) -> int:
        """The schema id in the framing.

        Raises:
            SchemaError: NOT_AVRO when the framing is absent.
        """
        if len(value) < _FRAME.size:
            raise SchemaError(Reason.NOT_AVRO, f"{len(value)} bytes are too few for the registry's framing")
        magic, schema_id = _FRAME.unpack_from(value)
        if magic != 0:
            raise SchemaError(Reason.NOT_AVRO, f"the first byte is {magic & 0xFF:#04x}; 0x00 was expected")
        return int(schema_id)

    def encode(self, name: str, record: Mapping[str, Any]) -> bytes:
        """Write a record with this project's schema.

        Raises:
            KeyError: the name is none of `SCHEMA_NAMES` or was not registered.
            ValueError, TypeError: the record does not have the schema's form; a defect of the caller.
        """
        out = io.BytesIO()
        out.write(_FRAME.pack(0, self._ids[name]))
        if name == "activity-event":
            record = {**record, "occurred_at": _to_micros(record["occurred_at"])}
        fastavro.schemaless_writer(out, self._readers[name], record, strict_allow_default=True)
        return out.getvalue()

    def decode(self, name: str, value: bytes | None) -> dict[str, Any]:
        """Read a record into this project's schema.

        Raises:
            SchemaError: NULL_VALUE, NOT_AVRO, UNKNOWN_SCHEMA_ID or TRUNCATED.
        """
        if value is None:
            raise SchemaError(Reason.NULL_VALUE, "the record has no value")
        schema_id = self.schema_id_of(value)
        writer = self._writers.get(schema_id)
        if writer is None:
            raise SchemaError(Reason.UNKNOWN_SCHEMA_ID, f"the registry has no schema {schema_id}")
        body = io.BytesIO(value)
        body.seek(_FRAME.size)
        try:
            record: dict[str, Any] = fastavro.schemaless_reader(body, writer, self._readers[name])
        except Exception as error:
            raise SchemaError(
                Reason.TRUNCATED, f"the body does not decode with schema {schema_id}: {error!r}"
            ) from error
        if body.read(1):
            raise SchemaError(Reason.TRUNCATED, f"bytes follow the record of schema {schema_id}")
        if name == "activity-event":
            record["occurred_at"] = _from_micros(record["occurred_at"])
        return record


def _to_micros(instant: Any) -> Any:
    return (instant - _EPOCH) // timedelta(microseconds=1) if isinstance(instant, datetime) else instant


def _from_micros(micros: int) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=micros)
    except OverflowError as error:
        raise SchemaError(Reason.INVALID_FIELD, f"occurred_at {micros} is no time") from error
