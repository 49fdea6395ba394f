"""The newest record of each fingerprint on `alerts`, as read back by the evaluator; pure."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from schemas.alert import Alert
from schemas.errors import SchemaError


class Decoder(Protocol):
    """The part of `schemas.avro.AvroCodec` that is used."""

    def decode(self, name: str, value: bytes | None) -> dict[str, object]:
        """A record from the registry's framing; raises SchemaError."""
        ...


class PublishedAlerts(Mapping[str, Alert]):
    """Fingerprint to the record with the highest generation; a lower one that arrives later changes nothing."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._newest: dict[str, Alert] = {}
        self.unreadable = 0
        """Records that could not be decoded and were passed over."""

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take in one record; a null value ends its fingerprint."""
        fingerprint = key.decode("utf-8", errors="replace")
        if value is None:
            self._newest.pop(fingerprint, None)
            return
        try:
            alert = Alert.from_avro(self._decoder.decode("alert", value))
        except SchemaError:
            self.unreadable += 1
            return
        known = self._newest.get(fingerprint)
        if known is None or alert.generation >= known.generation:
            self._newest[fingerprint] = alert

    def clear(self) -> None:
        """Forget everything: the topic will be read from its beginning."""
        self._newest.clear()

    def __getitem__(self, fingerprint: str) -> Alert:
        return self._newest[fingerprint]

    def __iter__(self) -> Iterator[str]:
        return iter(self._newest)

    def __len__(self) -> int:
        return len(self._newest)
