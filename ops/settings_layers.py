"""The layers that settings come from, each turned into named values that remember where they were written.

Pure except for the two reading functions that are handed in (`*_FILE` secrets, the TOML text is given). A layer
never validates a value: that is the model's work; it only refuses names that do not exist.
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from ops.settings_model import Settings

_CLOSE_ENOUGH = 0.82
_OWN_PREFIXES = ("KAFKA_", "POSTHOG_", "WEB_PUSH_", "VAPID_", "METRICS_", "SCHEMA_REGISTRY_", "DATABASE_")


@dataclass(frozen=True, slots=True)
class Given:
    """One value as somebody wrote it."""

    value: Any
    origin: str
    """What `config show` prints: `flag`, `bongsu.toml`, `environment KAFKA_...`, `file /run/secrets/...`."""
    written: str
    """The key as it stands in its source, for error sentences."""


Layer = dict[str, Given]


def names() -> list[str]:
    """Every setting, in the order of the model."""
    return list(Settings.model_fields)


def is_secret(name: str) -> bool:
    """True when the model declares the field as SecretStr: then it may come from a `*_FILE` and is masked."""
    annotation = Settings.model_fields[name].annotation
    return annotation is SecretStr or SecretStr in get_args(annotation)


def _suggestion(name: str, known: Sequence[str]) -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    return f", did you mean {close[0]}?" if close else "; see docs/configuration.md."


def from_flags(flags: Sequence[str]) -> tuple[Layer, list[str]]:
    """`--set key=value`, repeatable, the last one wins; returns the layer and what is wrong with it."""
    layer: Layer = {}
    problems: list[str] = []
    for flag in flags:
        key, equals, value = flag.partition("=")
        name = key.strip().lower()
        if not equals:
            problems.append(f"--set {key} has no value, expected --set key=value.")
        elif name not in Settings.model_fields:
            problems.append(f"--set {key} names no setting{_suggestion(name, names())}")
        else:
            layer[name] = Given(value, "flag", f"--set {name}")
    return layer, problems


def from_toml(file_name: str, text: str) -> tuple[Layer, list[str]]:
    """A flat TOML document; an unknown key is refused, since a misspelt one would otherwise do nothing."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return {}, [f"{file_name} is not valid TOML: {error}."]
    layer: Layer = {}
    problems: list[str] = []
    for key, value in document.items():
        if key in Settings.model_fields:
            layer[key] = Given(value, file_name, f"{key} in {file_name}")
        elif isinstance(value, dict):
            problems.append(f"[{key}] in {file_name} is a table, expected flat keys such as {key}_... = value.")
        else:
            problems.append(f"{key} in {file_name} names no setting{_suggestion(key.lower(), names())}")
    return layer, problems


def from_environment(environ: Mapping[str, str], read: Callable[[str], str]) -> tuple[Layer, list[str]]:
    """Upper-case names, and `<NAME>_FILE` for secrets; an empty variable counts as not set.

    `read` returns the text of a file or raises OSError / UnicodeDecodeError.
    """
    layer: Layer = {}
    problems: list[str] = []
    for name in names():
        variable = name.upper()
        if environ.get(variable):
            layer[name] = Given(environ[variable], f"environment {variable}", f"{variable} in the environment")
        path = environ.get(f"{variable}_FILE") if is_secret(name) else None
        if not path:
            continue
        if name in layer:
            problems.append(f"{variable} and {variable}_FILE are both set, expected only one of them.")
            continue
        try:
            layer[name] = Given(read(path).strip(), f"file {path}", f"{variable}_FILE")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a text file"
            problems.append(f"{variable}_FILE is {path!r}, which cannot be read: {reason}.")
    return layer, problems


def lookalikes(environ: Mapping[str, str]) -> list[str]:
    """Variables that are no setting but nearly the name of one: most likely a slip, worth a warning."""
    known = [name.upper() for name in names()]
    known += [f"{name.upper()}_FILE" for name in names() if is_secret(name)]
    found = []
    for variable in sorted(environ):
        if variable.startswith(_OWN_PREFIXES) and variable not in known:
            close = get_close_matches(variable, known, n=1, cutoff=_CLOSE_ENOUGH)
            if close:
                found.append(f"{variable} is set in the environment but is no setting, did you mean {close[0]}?")
    return found


class LayerSource(PydanticBaseSettingsSource):
    """One layer in the form that pydantic-settings merges; the first source that has a field wins."""

    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self._layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The value of one field; unused by `__call__` but part of the protocol."""
        given = self._layer.get(field_name)
        return (given.value if given else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        """All values of this layer."""
        return {name: given.value for name, given in self._layer.items()}
