"""What the engine tells about itself: a port; `streams.metrics` implements it, nothing here counts."""

from typing import Literal, Protocol

Result = Literal["success", "failure", "abandoned"]
"""How a slice ended: `abandoned` = partitions were given up before it was done; another worker gets it."""


class EngineObserver(Protocol):
    """Told after the fact, on the event loop; must not block or raise."""

    def consumed(self, topic: str, records: int, result: Result, latency_s: float) -> None:
        """A slice ended; latency is from its delivery to its end, retries included (mq.consume.*, 001 L43-44)."""
        ...

    def retried(self, topic: str, attempt: int, delay_s: float) -> None:
        """The batch failed for the `attempt`-th time, from 1, and is tried again after the delay."""
        ...

    def refused(self, topic: str, reason: str, records: int) -> None:
        """That many records went to the dead letters for this reason."""
        ...

    def committed(self, topic: str, partition: int, offset: int) -> None:
        """Kafka holds this offset for the group."""
        ...


class SilentObserver:
    """Tells nobody."""

    def consumed(self, topic: str, records: int, result: Result, latency_s: float) -> None:
        """Ignored."""

    def retried(self, topic: str, attempt: int, delay_s: float) -> None:
        """Ignored."""

    def refused(self, topic: str, reason: str, records: int) -> None:
        """Ignored."""

    def committed(self, topic: str, partition: int, offset: int) -> None:
        """Ignored."""
