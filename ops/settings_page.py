"""Writes docs/configuration.md from the settings model; a test holds the two together.

`python -m ops.settings_page > docs/configuration.md` brings the page up to date.
"""

import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from ops.settings_layers import is_secret
from ops.settings_model import Settings

_HEAD = """# Configuration

Every setting of Bongsu, made from `ops/settings_model.py` by `python -m ops.settings_page`; do not edit this page.

Values come from, the later winning over the earlier:

1. the defaults below;
2. `bongsu.toml` in the working directory, or the file of `--config FILE`: flat `key = value` lines; unknown keys are
   refused;
3. environment variables: the key in upper case (`web_push_max_retry` is `WEB_PUSH_MAX_RETRY`); an empty variable counts
   as not set;
4. `<NAME>_FILE` for secrets: the secret is the content of that file without the white space around it; not together
   with `<NAME>`;
5. `--set key=value`, repeatable.

`./bongsu config show` prints every value with its source, secrets masked. A wrong value stops the start with exit code
3 and a sentence that names the key as it was written, the value and what is expected. Switches accept 0, 1, true and
false. Lists are separated by commas; in TOML they may be lists.
"""


def groups() -> dict[str, list[tuple[str, FieldInfo]]]:
    """Settings by the group that they declare, in the order of the model."""
    found: dict[str, list[tuple[str, FieldInfo]]] = {}
    for name, field in Settings.model_fields.items():
        found.setdefault(extra(field, "group"), []).append((name, field))
    return found


def extra(field: FieldInfo, key: str) -> str:
    """One of the words that a field was declared with."""
    values = field.json_schema_extra
    return str(values.get(key) or "") if isinstance(values, dict) else ""


def type_text(annotation: Any) -> str:
    """A type in words for people."""
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(type_text(part) for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{word}`" for word in get_args(annotation))
    if get_origin(annotation) is tuple:
        return "list"
    names = {bool: "switch", int: "whole number", float: "number", str: "text", Path: "path", SecretStr: "secret"}
    return names.get(annotation) or "text"


def default_text(value: object) -> str:
    """A default as one would write it; nothing for `not set`."""
    if value is None or value == ():
        return ""
    if isinstance(value, tuple):
        return ", ".join(f"`{part}`" for part in value)
    if isinstance(value, bool):
        return "`1`" if value else "`0`"
    return f"`{value}`"


def render() -> str:
    """The whole page."""
    parts = [_HEAD]
    for group, fields in groups().items():
        parts.append(
            f"## {group}\n\n| key | environment | type | unit | default | meaning |\n|---|---|---|---|---|---|\n"
        )
        parts.append("".join(_row(name, field) for name, field in fields))
    return "\n".join(part if part.endswith("\n") else part + "\n" for part in _joined(parts))


def _joined(parts: list[str]) -> Iterable[str]:
    yield parts[0]
    for heading, rows in zip(parts[1::2], parts[2::2], strict=True):
        yield heading + rows


def _row(name: str, field: FieldInfo) -> str:
    variable = f"`{name.upper()}`" + (f", `{name.upper()}_FILE`" if is_secret(name) else "")
    cells = (
        f"`{name}`",
        variable,
        type_text(field.annotation),
        extra(field, "unit"),
        default_text(field.default),
        field.description or "",
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


if __name__ == "__main__":
    print(render(), end="")
