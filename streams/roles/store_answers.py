"""Turns what a store says into the engine's words."""

from collections.abc import Iterator
from contextlib import contextmanager

from sinks.store_errors import StoreRefused, StoreUnavailable
from streams.engine.outcomes import Poison, Transient


@contextmanager
def engine_words() -> Iterator[None]:
    """Raise `Transient` for an unavailable store and `Poison` for refused values; anything else passes."""
    try:
        yield
    except StoreUnavailable as error:
        raise Transient(str(error)) from error
    except StoreRefused as error:
        raise Poison(str(error)) from error
