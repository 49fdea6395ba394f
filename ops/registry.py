"""The schema registry as an operator's command uses it: reachable or not, and a codec that knows every writer."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ops.errors import DependencyUnavailable
from ops.kafka_config import registry_config
from ops.masking import mask_connection, mask_text
from ops.settings_model import Settings

if TYPE_CHECKING:
    from topics.schema_registry import SchemaRegistry


@contextmanager
def registry(settings: Settings) -> "Iterator[SchemaRegistry]":
    """The registry's client; its failures as one sentence with the address."""
    from confluent_kafka.schema_registry import SchemaRegistryClient

    from topics.schema_registry import RegistryUnavailable, SchemaRegistry

    try:
        with SchemaRegistryClient(registry_config(settings)) as client:
            yield SchemaRegistry(client)
    except RegistryUnavailable as error:
        raise DependencyUnavailable(
            f"SCHEMA_REGISTRY_URL is {mask_connection(settings.registry())}: {mask_text(str(error))}."
        ) from error


def registry_answers(settings: Settings) -> str | None:
    """One attempt for `ops.waiting`: None when the registry lists its subjects, else why not."""
    from confluent_kafka.schema_registry import SchemaRegistryClient

    try:
        with SchemaRegistryClient(registry_config(settings)) as client:
            client.get_subjects()
    except Exception as error:  # noqa: BLE001 -- the client's HTTP library has its own error tree; all mean "not yet"
        return mask_text(str(error) or repr(error))
    return None


class Decoder:
    """Decodes Avro values and fetches each writer's schema from the registry when it is first met."""

    def __init__(self, client: "SchemaRegistry") -> None:
        self._client = client
        from schemas.avro import AvroCodec

        self._codec = AvroCodec({})

    def decode(self, name: str, value: bytes | None) -> dict[str, Any]:
        """The record. Raises SchemaError for bytes that are none, RegistryUnavailable when the registry is gone."""
        if value is not None:
            schema_id = self._codec.schema_id_of(value)
            if not self._codec.knows(schema_id):
                asyncio.run(self._client.load(self._codec, schema_id))
        return self._codec.decode(name, value)
