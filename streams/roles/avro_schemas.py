"""Fetches writers' schemas from the registry into the codec, once each; unknown ids are asked for again later."""

from collections.abc import Callable, Collection

from schemas.avro import AvroCodec
from schemas.errors import SchemaError
from streams.engine.outcomes import Transient
from topics.schema_registry import RegistryUnavailable, SchemaRegistry

ASK_AGAIN_S = 30.0
"""How long an id that the registry did not know is taken for unknown."""


UNKNOWN_IDS_KEPT = 1000
"""How many unknown ids are remembered; hostile bytes can name four billion."""


class RegistrySchemas:
    """`streams.roles.ports.Schemas` on a schema registry.

    Args:
        registry: the registry's client.
        codec: where schemas are put.
        now_s: any clock in seconds.
    """

    def __init__(self, registry: SchemaRegistry, codec: AvroCodec, *, now_s: Callable[[], float]) -> None:
        self._registry = registry
        self._codec = codec
        self._now_s = now_s
        self._unknown_until_s: dict[int, float] = {}

    async def ensure(self, schema_ids: Collection[int]) -> None:
        """See the port."""
        for schema_id in sorted(schema_ids):
            until_s = self._unknown_until_s.get(schema_id)
            if self._codec.knows(schema_id) or (until_s is not None and self._now_s() < until_s):
                continue
            try:
                await self._registry.load(self._codec, schema_id)
            except SchemaError:
                if len(self._unknown_until_s) >= UNKNOWN_IDS_KEPT:
                    self._unknown_until_s.clear()
                self._unknown_until_s[schema_id] = self._now_s() + ASK_AGAIN_S
            except RegistryUnavailable as error:
                raise Transient(f"the schema registry cannot be asked for schema {schema_id}: {error}") from error
