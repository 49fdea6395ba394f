"""Building blocks of the settings model: how a field is declared and what its type accepts.

A field says its group, its meaning and its unit where it is declared; `docs/configuration.md` and
`config show` are made from that, so a setting cannot exist without its documentation.
"""

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, JsonValue
from pydantic_settings import NoDecode

_BOOLEANS = {"1": True, "true": True, "0": False, "false": False}


def setting(group: str, default: Any, text: str, unit: str = "", form: str = "", **limits: Any) -> Any:
    """Declare one setting: group on the page, default, meaning, unit, limits (`ge`, `pattern`, ...).

    `form` is the expectation in words, for a value that breaks a pattern or a length.
    """
    extra: dict[str, JsonValue] = {"group": group, "unit": unit, "form": form}
    return Field(default=default, description=text, json_schema_extra=extra, **limits)


def _to_bool(value: object) -> object:
    """Only 0, 1, true and false: `yes`, `on` or `2` in a switch is more often a slip than a wish."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _BOOLEANS:
        return _BOOLEANS[word]
    raise ValueError("0, 1, true or false")


def _to_names(value: object) -> object:
    """A comma-separated text (environment, flags) or a list (TOML) to a tuple without blanks."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _http_url(value: object) -> object:
    """An http(s) address with a host; a trailing slash is dropped so that paths can be appended."""
    parts = urlsplit(str(value))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an http:// or https:// address")
    return str(value).rstrip("/")


def _to_servers(value: object) -> object:
    """host:port, comma-separated, as every Kafka client spells it."""
    for server in str(value).split(","):
        host, _, port = server.strip().rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError("host:port, several separated by commas")
    return ",".join(part.strip() for part in str(value).split(","))


Switch = Annotated[bool, BeforeValidator(_to_bool)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_to_names)]
HttpUrl = Annotated[str, BeforeValidator(_http_url)]
Servers = Annotated[str, BeforeValidator(_to_servers)]
