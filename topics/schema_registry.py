"""The schema registry's client: registers this project's schemas, fetches those of other writers.

confluent-kafka's client does the HTTP; it blocks, so the asynchronous calls run it in a thread.
"""

import asyncio

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from schemas.avro import SCHEMA_NAMES, AvroCodec, schema_text
from schemas.errors import Reason, SchemaError
from topics.registry import topics

_NOT_FOUND = 404


class RegistryUnavailable(Exception):
    """The registry did not answer, or refused; the sentence says which."""


class SchemaRegistry:
    """Schema ids, by name and by number.

    Args:
        client: configured with the registry's address and credentials.
    """

    def __init__(self, client: SchemaRegistryClient) -> None:
        self._client = client

    def register_all(self) -> AvroCodec:
        """Register each schema under `<topic>-value` of every topic that carries it (`topics apply`); the codec.

        Raises:
            RegistryUnavailable: no answer, or a schema that is incompatible with what is registered.
        """
        return AvroCodec(
            {name: [self._register(subject, name) for subject in _subjects(name)][-1] for name in SCHEMA_NAMES}
        )

    def codec(self) -> AvroCodec:
        """The codec for a process that starts: one subject for each schema, since equal schemas have one id.

        Raises:
            RegistryUnavailable: no answer, or a schema that is incompatible with what is registered.
        """
        return AvroCodec({name: self._register(_subjects(name)[0], name) for name in SCHEMA_NAMES})

    def _register(self, subject: str, name: str) -> int:
        try:
            return int(self._client.register_schema(subject, Schema(schema_text(name), "AVRO")))
        except SchemaRegistryError as error:
            raise RegistryUnavailable(
                f"the schema registry refused {name} for {subject}: {error.error_message}"
            ) from error
        except Exception as error:
            # The client's HTTP library has an error tree of its own; every branch of it means no answer.
            raise RegistryUnavailable(f"the schema registry did not answer: {error!r}") from error

    async def load(self, codec: AvroCodec, schema_id: int) -> None:
        """Fetch a writer's schema into the codec.

        Raises:
            SchemaError: UNKNOWN_SCHEMA_ID when the registry has no such schema.
            RegistryUnavailable: no answer; trying again can help.
        """
        try:
            schema = await asyncio.to_thread(self._client.get_schema, schema_id)
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                raise SchemaError(Reason.UNKNOWN_SCHEMA_ID, f"the registry has no schema {schema_id}") from error
            raise RegistryUnavailable(
                f"the schema registry refused schema {schema_id}: {error.error_message}"
            ) from error
        except Exception as error:
            raise RegistryUnavailable(f"the schema registry did not answer: {error!r}") from error
        codec.add_writer_schema(schema_id, schema.schema_str)


def _subjects(name: str) -> list[str]:
    return [f"{topic.name}-value" for topic in topics().values() if topic.schema == name]
