"""Sentences for wrong settings: the key as written, the value (secrets masked), what is expected."""

from collections.abc import Iterable, Mapping
from typing import Any

from ops.masking import MASK
from ops.settings_layers import Given, is_secret
from ops.settings_model import Settings

_EXPECTED_BY_TYPE = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "string_type": "a text",
    "path_type": "a path",
    "tuple_type": "names separated by commas, or a list",
}
_LIMITS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def _extra(name: str) -> dict[str, Any]:
    extra = Settings.model_fields[name].json_schema_extra
    return extra if isinstance(extra, dict) else {}


def _with_unit(text: str, name: str) -> str:
    unit = _extra(name).get("unit")
    return f"{text} ({unit})" if unit else text


def expectation(name: str, error: Mapping[str, Any]) -> str:
    """What the model expected of field `name`, in words; `error` is one entry of pydantic's error list."""
    kind = str(error["type"])
    context: Mapping[str, Any] = error.get("ctx", {})
    if kind == "literal_error":
        return f"{context['expected']}"
    if kind in _LIMITS:
        key, words = _LIMITS[kind]
        limit = context[key]
        number = int(limit) if float(limit).is_integer() else limit
        return _with_unit(f"{words} {number}", name)
    if kind == "value_error":
        return str(context["error"])
    if kind in _EXPECTED_BY_TYPE:
        return _with_unit(_EXPECTED_BY_TYPE[kind], name)
    return str(_extra(name).get("form") or error["msg"])


def sentences(errors: Iterable[Mapping[str, Any]], given: Mapping[str, Given]) -> list[str]:
    """One sentence per problem, in the order of the model."""
    found = []
    for error in errors:
        name = str(error["loc"][0])
        source = given.get(name)
        written = source.written if source else name
        value = MASK if is_secret(name) else repr(source.value if source else error.get("input"))
        found.append(f"{written} is {value}, expected {expectation(name, error)}.")
    return found
