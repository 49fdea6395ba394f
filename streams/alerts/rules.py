"""Reads rules.toml; pure. Every mistake is a sentence that names the entry and what was expected."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, Final

from streams.alerts.rates import Ratio
from streams.alerts.rule import OPERATORS, SEVERITIES, Condition, Level, Rule, RuleSet, digest
from streams.windows.panes import layout_for
from streams.windows.signals import Signal, Sum

_VERSION: Final = 1
_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"(\d+)([smhd])")
_PRIORITY: Final = {"warning": "P2", "critical": "P1"}

_SIGNAL_KEYS: Final = {"table", "key_column", "group_by", "sums"}
_RULE_KEYS: Final = {
    "id", "name", "summary", "description", "runbook", "line", "quote", "signal", "ratio", "unit", "min_samples",
    "window", "for", "levels", "resolve",
}  # fmt: skip
_RULE_OPTIONAL: Final = {"also", "defaults"}


class RulesInvalid(Exception):
    """The rules cannot be read: `entry` names the part, `problem` what is wrong with it."""

    def __init__(self, entry: str, problem: str) -> None:
        super().__init__(f"{entry}: {problem}")
        self.entry = entry
        self.problem = problem


def shipped_rules(time_scale: float = 1.0) -> RuleSet:
    """The rules of this release.

    Raises:
        RulesInvalid: `time_scale` is below 1.
    """
    return load_rules(resources.files("streams.alerts").joinpath("rules.toml").read_text("utf-8"), time_scale)


def load_rules(text: str, time_scale: float = 1.0) -> RuleSet:
    """Read rules.

    Args:
        text: TOML.
        time_scale: divides windows, `for`, holds and the width of panes; at least 1 (a demo's hour is a minute at 60).

    Raises:
        RulesInvalid: naming the entry.
    """
    if not time_scale >= 1:
        raise RulesInvalid("time_scale", f"{time_scale} is below 1")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RulesInvalid("rules", f"not TOML: {error}") from error
    _keys("rules", document, {"version", "signals", "rules"}, set())
    if document["version"] != _VERSION:
        raise RulesInvalid("version", f"{document['version']!r}; this release reads {_VERSION}")
    entries = document["rules"]
    if not isinstance(entries, list) or not entries:
        raise RulesInvalid("rules", "at least one rule is needed")
    signals = {name: _signal(name, entry) for name, entry in document["signals"].items()}
    _one_key_per_table(signals.values())
    windows_ms = [_scaled_ms(f"rule {entry.get('id')}", entry, "window", time_scale) for entry in entries]
    layout = layout_for(windows_ms)
    rules = tuple(
        _rule(entry, signals, document["signals"], layout.whole_panes_ms(window_ms), time_scale)
        for entry, window_ms in zip(entries, windows_ms, strict=True)
    )
    doubled = {rule.id for rule in rules if sum(other.id == rule.id for other in rules) > 1}
    if doubled:
        raise RulesInvalid("rules", f"the id {min(doubled)} is used twice")
    return RuleSet(rules, layout, time_scale)


def _signal(name: str, entry: Mapping[str, Any]) -> Signal:
    where = f"signal {name}"
    _keys(where, entry, _SIGNAL_KEYS, set())
    sums = tuple(_sum(f"{where}, sum {key}", key, value) for key, value in entry["sums"].items())
    if not sums:
        raise RulesInvalid(where, "at least one sum is needed")
    return Signal(name, _text(where, entry, "table"), _text(where, entry, "key_column"), tuple(entry["group_by"]), sums)


def _sum(where: str, name: str, entry: Mapping[str, Any]) -> Sum:
    _keys(where, entry, {"add"}, {"where"})
    if isinstance(entry["add"], bool) or not isinstance(entry["add"], int | str):
        raise RulesInvalid(where, "`add` is a whole number or the name of an integer column")
    conditions = entry.get("where", {})
    if not all(isinstance(values, list) and values for values in conditions.values()):
        raise RulesInvalid(where, "`where` gives each column a list of values")
    return Sum(name, entry["add"], {column: frozenset(map(str, values)) for column, values in conditions.items()})


def _one_key_per_table(signals: Any) -> None:
    keys: dict[str, str] = {}
    for signal in signals:
        if keys.setdefault(signal.table, signal.key_column) != signal.key_column:
            raise RulesInvalid(
                f"signal {signal.name}", f"table {signal.table} has another key_column in another signal"
            )


def _rule(
    entry: Mapping[str, Any],
    signals: Mapping[str, Signal],
    definitions: Mapping[str, Any],
    window_ms: int,
    time_scale: float,
) -> Rule:
    where = f"rule {entry.get('id')}"
    _keys(where, entry, _RULE_KEYS, _RULE_OPTIONAL)
    signal = signals.get(entry["signal"])
    if signal is None:
        raise RulesInvalid(where, f"signal {entry['signal']!r} is not defined")
    ratio = _ratio(where, entry, signal)
    _keys(f"{where}, resolve", entry["resolve"], {"op", "value", "hold"}, set())
    measured = [entry["signal"], definitions[entry["signal"]], entry["ratio"]]
    return Rule(
        id=_text(where, entry, "id"),
        name=_text(where, entry, "name"),
        version=digest([entry, measured]),
        measure=digest(measured),
        signal=signal,
        ratio=ratio,
        window_ms=window_ms,
        levels=_levels(where, entry, time_scale),
        resolve=_condition(f"{where}, resolve", entry["resolve"]),
        hold_ms=_scaled_ms(f"{where}, resolve", entry["resolve"], "hold", time_scale),
        unit=_text(where, entry, "unit"),
        annotations=_annotations(where, entry),
    )


def _ratio(where: str, entry: Mapping[str, Any], signal: Signal) -> Ratio:
    _keys(f"{where}, ratio", entry["ratio"], {"numerator", "denominator"}, set())
    for part in ("numerator", "denominator"):
        if entry["ratio"][part] not in signal.sum_names:
            raise RulesInvalid(where, f"signal {signal.name} has no sum {entry['ratio'][part]!r}")
    min_samples = entry["min_samples"]
    if not isinstance(min_samples, int) or min_samples < 1:
        raise RulesInvalid(where, "`min_samples` is a whole number from 1")
    return Ratio(entry["ratio"]["numerator"], entry["ratio"]["denominator"], min_samples)


def _levels(where: str, entry: Mapping[str, Any], time_scale: float) -> tuple[Level, ...]:
    levels = [
        _level(f"{where}, level {index + 1}", entry, level, time_scale) for index, level in enumerate(entry["levels"])
    ]
    if not levels or len({level.severity for level in levels}) < len(levels):
        raise RulesInvalid(where, "each severity has at most one level, and there is at least one")
    return tuple(sorted(levels, key=lambda level: SEVERITIES.index(level.severity)))


def _level(where: str, rule: Mapping[str, Any], entry: Mapping[str, Any], time_scale: float) -> Level:
    _keys(where, entry, {"op", "value", "severity"}, {"for", "priority"})
    severity = entry["severity"]
    if severity not in SEVERITIES:
        raise RulesInvalid(where, f"severity {severity!r} is none of {', '.join(SEVERITIES)}")
    priority = entry.get("priority", _PRIORITY[severity])
    if priority not in ("P0", "P1", "P2", "P3"):
        raise RulesInvalid(where, f"priority {priority!r} is none of P0 to P3")
    for_ms = _scaled_ms(where, entry if "for" in entry else rule, "for", time_scale)
    return Level(severity, _condition(where, entry), for_ms, priority)


def _condition(where: str, entry: Mapping[str, Any]) -> Condition:
    if entry["op"] not in OPERATORS:
        raise RulesInvalid(where, f"op {entry['op']!r} is none of {' '.join(OPERATORS)}")
    if isinstance(entry["value"], bool) or not isinstance(entry["value"], int | float):
        raise RulesInvalid(where, "`value` is a number")
    return Condition(entry["op"], float(entry["value"]))


def _annotations(where: str, entry: Mapping[str, Any]) -> dict[str, str]:
    if not isinstance(entry["line"], int):
        raise RulesInvalid(where, "`line` is the number of the quoted line")
    runbook = _text(where, entry, "runbook")
    lines: Sequence[int] = [entry["line"], *(other["line"] for other in entry.get("also", ()))]
    return {
        "summary": _text(where, entry, "summary"),
        "description": _text(where, entry, "description"),
        "runbook": f"{runbook} {' '.join(f'L{line}' for line in lines)}",
        "quote": _text(where, entry, "quote"),
    }


def _scaled_ms(where: str, entry: Mapping[str, Any], key: str, time_scale: float) -> int:
    match = _DURATION.fullmatch(str(entry.get(key)))
    if match is None:
        raise RulesInvalid(where, f"`{key}` is {entry.get(key)!r}; a duration such as 30s, 15m or 1h was expected")
    span_ms = int(match[1]) * _UNITS_MS[match[2]]
    if key == "window" and span_ms == 0:
        raise RulesInvalid(where, "`window` is empty")
    return round(span_ms / time_scale)


def _text(where: str, entry: Mapping[str, Any], key: str) -> str:
    value = entry[key]
    if not isinstance(value, str) or not value:
        raise RulesInvalid(where, f"`{key}` is text")
    return value


def _keys(where: str, entry: Any, needed: set[str], optional: set[str]) -> None:
    if not isinstance(entry, Mapping):
        raise RulesInvalid(where, "a table was expected")
    missing, unknown = needed - entry.keys(), entry.keys() - needed - optional
    if missing:
        raise RulesInvalid(where, f"`{min(missing)}` is missing")
    if unknown:
        raise RulesInvalid(where, f"`{min(unknown)}` is not known here")
