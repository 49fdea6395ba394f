"""What a rule is; pure. Where rules come from is `streams.alerts.rules`."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from schemas.alert import Priority, Severity
from streams.alerts.rates import Ratio
from streams.windows.panes import Layout
from streams.windows.signals import Series, Signal

SEVERITIES: Final[tuple[Severity, ...]] = ("warning", "critical")
"""Ascending; critical supersedes warning."""

OPERATORS: Final = ("<", "<=", ">", ">=")


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison with a threshold, strict or not exactly as the operator says."""

    op: str
    value: float

    def holds(self, measured: float) -> bool:
        """Whether the measured value meets the condition."""
        match self.op:
            case "<":
                return measured < self.value
            case "<=":
                return measured <= self.value
            case ">":
                return measured > self.value
            case _:
                return measured >= self.value


@dataclass(frozen=True, slots=True)
class Level:
    """One severity of a rule: its condition, and how long it must hold before it fires."""

    severity: Severity
    condition: Condition
    for_ms: int
    priority: Priority


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, its times already divided by the time scale.

    Attributes:
        id, name: the id of rules.toml; the runbook's own name or the id.
        version: hash of the whole definition.
        measure: hash of what is measured (signal and ratio): a change of it ends alerts that fire.
        signal: what is counted.
        ratio: the number that the levels compare.
        window_ms: whole panes.
        levels: ascending by severity, at most one each.
        resolve: what ends an alert.
        hold_ms: for how long it must hold; also before a severity falls.
        unit: of the value.
        annotations: summary, description, runbook, quote.
    """

    id: str
    name: str
    version: str
    measure: str
    signal: Signal
    ratio: Ratio
    window_ms: int
    levels: tuple[Level, ...]
    resolve: Condition
    hold_ms: int
    unit: str
    annotations: Mapping[str, str]

    def level(self, severity: Severity) -> Level:
        """The level of a severity; the least one where the rule has none such (its definition changed)."""
        return next((level for level in self.levels if level.severity == severity), self.levels[0])


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules in force and what follows from them.

    Attributes:
        rules: all of them.
        layout: how time is cut.
        time_scale: by what windows, holds and panes were divided; 1 in production.
    """

    rules: tuple[Rule, ...]
    layout: Layout
    time_scale: float

    @property
    def signals(self) -> tuple[Signal, ...]:
        """The signals that some rule reads."""
        return tuple({rule.signal.name: rule.signal for rule in self.rules}.values())

    @property
    def longest_window_ms(self) -> int:
        """The longest window of any rule."""
        return max(rule.window_ms for rule in self.rules)

    @property
    def retention_ms(self) -> int:
        """How long a block is kept: the longest window, and two blocks for an evaluator that is behind."""
        return self.longest_window_ms + 2 * self.layout.block_ms


def fingerprint_of(rule: Rule, series: Series) -> str:
    """Identity of an alert: rule and group labels, never the severity (alert-engine.md §4)."""
    return digest([rule.id, sorted(group_labels(rule, series).items())])


def group_labels(rule: Rule, series: Series) -> dict[str, str]:
    """The labels that tell one group of a rule from another."""
    return dict(zip(rule.signal.group_by, series.group, strict=True))


def episode_id(fingerprint: str, starts_at_ms: int) -> str:
    """Identity of one episode: from its first firing to its resolution."""
    return digest([fingerprint, starts_at_ms])


def digest(value: object) -> str:
    """A short hash of JSON-able data, equal for equal data."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
