"""What stops capture, each with a sentence for the operator.

Rows that cannot be relayed are no exception: they become dead letters and the stream goes on
(`capture.refusals`).
"""


class CaptureError(Exception):
    """Base of capture's failures; the text is a sentence an operator can act on."""


class DependencyUnavailable(CaptureError):
    """A database or broker did not answer in the time allowed, or refuses for good.

    Attributes:
        dependency: `postgres` or `kafka`.
    """

    def __init__(self, dependency: str, sentence: str) -> None:
        super().__init__(sentence)
        self.dependency = dependency


class ConfigurationRefused(CaptureError):
    """A setting of Bongsu or of PostgreSQL makes capture impossible; the sentence names it."""


class StreamEnded(CaptureError):
    """The replication stream ended.

    Attributes:
        sqlstate: the server's code; None where the connection just broke.
    """

    def __init__(self, sentence: str, sqlstate: str | None = None) -> None:
        super().__init__(sentence)
        self.sqlstate = sqlstate


class DeliveryFailed(CaptureError):
    """Kafka refused a record for good: the queue is purged and the stream restarts from the confirmed position."""


class MalformedFrame(CaptureError):
    """Bytes from the server are not what the protocol says."""


class UndecodableValue(CaptureError):
    """A column's text is not what its type promises, or has no encoding in the contract."""


class KeyColumnsMissing(CaptureError):
    """A table lacks a column of its message key."""


class Stopped(CaptureError):
    """A stop was asked for while a producer's queue was full: what is not acknowledged comes again."""
