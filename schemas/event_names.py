"""The allow list of event names (001 §9-2): a closed list in data, extended by a setting."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True)
class EventNames:
    """The names that are accepted.

    Attributes:
        names: accepted names; ignored when `any_name` is set.
        any_name: accept everything (EVENT_ALLOWLIST=*).
    """

    names: frozenset[str]
    any_name: bool = False

    def __contains__(self, name: str) -> bool:
        return self.any_name or name in self.names


def shipped_event_names() -> tuple[str, ...]:
    """The names of event_names.toml, in its order."""
    text = resources.files("schemas").joinpath("event_names.toml").read_text(encoding="utf-8")
    return tuple(event["name"] for event in tomllib.loads(text)["event"])


def allow_list(additional: Iterable[str] = ()) -> EventNames:
    """The shipped names and a deployment's own; `*` among them accepts every name."""
    added = frozenset(additional)
    return EventNames(frozenset(shipped_event_names()) | added, any_name="*" in added)
