"""Loading of settings: defaults < TOML < environment (and `*_FILE`) < flags, with the origin of each value.

The only module of Bongsu that reads environment variables. A wrong value stops the start: `load` raises
ConfigError with one sentence per problem, all of them at once.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from ops.errors import ConfigError
from ops.masking import MASK, mask_connection, passwords_in
from ops.settings_errors import sentences
from ops.settings_files import files_of_role, unreadable_files
from ops.settings_layers import (
    Layer,
    LayerSource,
    from_environment,
    from_flags,
    from_toml,
    is_secret,
    lookalikes,
    names,
)
from ops.settings_model import Settings
from ops.settings_rules import problems as rule_problems
from ops.settings_rules import role_problems

__all__ = [
    "Loaded",
    "Settings",
    "colour_wanted",
    "load",
    "process_environment",
    "require_role",
    "secret_values",
    "shown",
]

CONFIG_FILE = "bongsu.toml"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings with the source of each of them and what looked like a slip."""

    settings: Settings
    origins: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def process_environment() -> dict[str, str]:
    """The environment of this process, for callers that start children."""
    return dict(os.environ)


def _read_text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def _toml_layer(config_path: Path | None) -> tuple[Layer, list[str]]:
    """The file asked for must exist; `bongsu.toml` of the working directory may."""
    path = config_path or Path(CONFIG_FILE)
    try:
        text = _read_text(str(path))
    except FileNotFoundError:
        return ({}, []) if config_path is None else ({}, [f"--config {path} does not exist."])
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        return {}, [f"{path} cannot be read: {reason}."]
    return from_toml(path.name, text)


def load(
    flags: Sequence[str] = (), config_path: Path | None = None, environ: Mapping[str, str] | None = None
) -> Loaded:
    """Merge all layers and validate. `environ` defaults to this process's. Raises ConfigError."""
    environ = os.environ if environ is None else environ
    flag_layer, wrong_flags = from_flags(flags)
    environment_layer, wrong_environment = from_environment(environ, _read_text)
    toml_layer, wrong_toml = _toml_layer(config_path)
    problems = wrong_flags + wrong_environment + wrong_toml
    layers = (flag_layer, environment_layer, toml_layer)
    given: Layer = {**toml_layer, **environment_layer, **flag_layer}
    sources = tuple(LayerSource(Settings, layer) for layer in layers)
    try:
        build: Callable[..., Settings] = Settings
        settings = build(_build_sources=(sources, {}))
    except ValidationError as error:
        errors: list[Any] = list(error.errors(include_url=False))
        # `from None`: pydantic's own text repeats the input, and the input may be a secret.
        raise ConfigError(*problems, *sentences(errors, given)) from None
    problems += rule_problems(settings)
    if problems:
        raise ConfigError(*problems)
    origins = {name: given[name].origin if name in given else "default" for name in names()}
    return Loaded(settings, origins, tuple(lookalikes(environ)))


def require_role(settings: Settings, role: str) -> None:
    """Raise ConfigError when a role lacks what it needs, before it opens any connection."""
    found = role_problems(settings, role) + unreadable_files(settings, files_of_role(role))
    if found:
        raise ConfigError(*found)


def secret_values(settings: Settings) -> tuple[str, ...]:
    """Every secret in the clear, for the masks of the log only.

    Of DATABASE_URL only the password: an operator must be able to read which host and port did not answer.
    """
    found = []
    for name in names():
        value = getattr(settings, name)
        if isinstance(value, SecretStr) and name != "database_url":
            found.append(value.get_secret_value())
    return (*found, *passwords_in(settings.database_url.get_secret_value() if settings.database_url else ""))


def colour_wanted(environ: Mapping[str, str] | None = None) -> bool:
    """False when NO_COLOR is set to anything but an empty text (no-color.org)."""
    return not (os.environ if environ is None else environ).get("NO_COLOR")


def shown(settings: Settings, name: str) -> str:
    """The value of a setting as it may be shown: secrets masked, passwords inside addresses masked."""
    value = getattr(settings, name)
    if value is None:
        return ""
    if name == "database_url" and isinstance(value, SecretStr):
        return mask_connection(value.get_secret_value())
    if is_secret(name):
        return MASK
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return mask_connection(str(value))
