"""The evaluator's memory, and its bytes in the alert state Table; pure.

One record per fingerprint that is not at rest, and one for the evaluator itself: the last tick evaluated. As with the
panes, keys and values are JSON made here and absolute.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from schemas.alert import Alert
from streams.alerts.lifecycle import Clock, Phase, State
from streams.windows.signals import Series
from streams.windows.state import StateUnreadable

VERSION: Final = 1
"""Version of the values; a reader refuses a higher one."""

EVALUATOR_KEY: Final = b"evaluator"
"""Key of the record that holds the last tick evaluated."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What the evaluator remembers between ticks.

    Attributes:
        tick_ms: the last tick evaluated; None before the first.
        states: fingerprint to state.
    """

    tick_ms: int | None = None
    states: Mapping[str, State] = field(default_factory=dict)


def is_at_rest(state: State) -> bool:
    """Whether a state says nothing that its last published record does not: it need not be written again."""
    return state.phase in (Phase.INACTIVE, Phase.RESOLVED)


def read_memory(items: Iterable[tuple[bytes, bytes]]) -> Memory:
    """Gather the memory from the Table.

    Raises:
        StateUnreadable: a record is not of this release's version.
    """
    tick_ms: int | None = None
    states: dict[str, State] = {}
    for key, value in items:
        if key == EVALUATOR_KEY:
            tick_ms = int(_versioned(key, value)["tick_ms"])
        else:
            states[key.decode()] = _state(key, value)
    return Memory(tick_ms, states)


def changes(before: Memory, after: Memory) -> list[tuple[bytes, bytes | None]]:
    """What the Table must be given so that it holds `after` (None: a tombstone): states first, the tick last.

    A crash in between leaves states that are ahead of the tick; each knows its own tick and ignores earlier ones.
    """
    written: list[tuple[bytes, bytes | None]] = [
        (fingerprint.encode(), encode_state(state))
        for fingerprint, state in after.states.items()
        if _differs(before.states.get(fingerprint), state)
    ]
    written += [(fingerprint.encode(), None) for fingerprint in before.states if fingerprint not in after.states]
    if after.tick_ms is not None:
        written.append((EVALUATOR_KEY, orjson.dumps({"v": VERSION, "tick_ms": after.tick_ms})))
    return written


def encode_state(state: State) -> bytes:
    """A state's value."""
    return orjson.dumps(
        {
            "v": VERSION,
            "rule": state.rule,
            "signal": state.series.signal,
            "group": state.series.group,
            "measure": state.measure,
            "phase": state.phase,
            "tick_ms": state.tick_ms,
            "active_at_ms": state.active_at_ms,
            "clear_since_ms": state.clear_since_ms,
            "clocks": {
                severity: [clock.true_since_ms, clock.false_since_ms, clock.fired]
                for severity, clock in state.clocks.items()
            },
            "published": None if state.published is None else state.published.to_avro(),
            "no_data": state.no_data,
        }
    )


def _differs(before: State | None, after: State) -> bool:
    if before is None:
        return True
    if is_at_rest(before) and is_at_rest(after):
        return before.published != after.published
    return before != after


def _state(key: bytes, value: bytes) -> State:
    record = _versioned(key, value)
    try:
        published = record["published"]
        return State(
            rule=record["rule"],
            series=Series(record["signal"], tuple(record["group"])),
            measure=record["measure"],
            tick_ms=record["tick_ms"],
            active_at_ms=record["active_at_ms"],
            clear_since_ms=record["clear_since_ms"],
            clocks={severity: Clock(*clock) for severity, clock in record["clocks"].items()},
            published=None if published is None else Alert.from_avro(published),
            no_data=record["no_data"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise StateUnreadable(key, f"not an alert's state: {error!r}") from error


def _versioned(key: bytes, value: bytes) -> Mapping[str, Any]:
    try:
        record = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise StateUnreadable(key, f"not JSON: {error}") from error
    if not isinstance(record, dict) or record.get("v") != VERSION:
        raise StateUnreadable(key, f"this release reads version {VERSION}")
    return record
