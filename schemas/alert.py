"""The record of the `alerts` topic (alert-engine.md §4): one published change of one alert.

Key = fingerprint. (fingerprint, generation) identifies a record: readers drop a generation they have seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["firing", "resolved", "pending"]
Severity = Literal["warning", "critical"]
Priority = Literal["P0", "P1", "P2", "P3"]
ResolveReason = Literal["condition", "exit_criterion", "calendar", "rule_changed", "rule_removed"]


@dataclass(frozen=True, slots=True)
class Source:
    """A range of records that an alert was computed from: offsets [first, next) of one partition."""

    topic: str
    partition: int
    first: int
    next: int


@dataclass(frozen=True, slots=True)
class Alert:
    """One state of one alert; every `_ms` is Unix milliseconds of event time.

    Attributes:
        id: hash(fingerprint, starts_at_ms): one episode.
        fingerprint: hash of rule and group labels, without severity; the record key.
        generation: grows by one with each published change of this fingerprint.
        rule, rule_version, name: the rule's id, the hash of its definition, the runbook's own name or the id.
        status, severity, page, priority: as alert-engine.md §1.1; page is true exactly when critical.
        no_data: a firing alert whose signal is missing.
        labels, annotations: text for routing and for people.
        value, threshold, op, unit: what was measured against what.
        samples: the denominator.
        window_start_ms, window_end_ms: what was measured, (start, end].
        active_at_ms, starts_at_ms: condition first true; first firing of the episode (never changes within it).
        severity_since_ms: the present severity reached.
        ends_at_ms: None while firing.
        updated_at_ms: event time of this record.
        resolve_reason: why it ended.
        inhibited_by: fingerprints or switches that keep it from being notified.
        replayed: written while the watermark was far behind the clock; notifiers ignore it.
        sources: what it was computed from.
    """

    id: str
    fingerprint: str
    generation: int
    rule: str
    rule_version: str
    name: str
    status: Status
    severity: Severity
    priority: Priority
    active_at_ms: int
    starts_at_ms: int
    severity_since_ms: int
    updated_at_ms: int
    op: str
    unit: str
    value: float | None = None
    threshold: float | None = None
    samples: int | None = None
    window_start_ms: int | None = None
    window_end_ms: int | None = None
    ends_at_ms: int | None = None
    resolve_reason: ResolveReason | None = None
    no_data: bool = False
    replayed: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    inhibited_by: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()

    @property
    def page(self) -> bool:
        """Critical alerts page (alert-engine.md §1.1)."""
        return self.severity == "critical"

    def to_avro(self) -> dict[str, Any]:
        """The record of alert.avsc; its field names are Alertmanager's where the two share one."""
        return {
            "schema_version": 1,
            "id": self.id,
            "fingerprint": self.fingerprint,
            "generation": self.generation,
            "rule": self.rule,
            "rule_version": self.rule_version,
            "name": self.name,
            "status": self.status,
            "no_data": self.no_data,
            "severity": self.severity,
            "page": self.page,
            "priority": self.priority,
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "value": self.value,
            "threshold": self.threshold,
            "op": self.op,
            "unit": self.unit,
            "samples": self.samples,
            "window_start": self.window_start_ms,
            "window_end": self.window_end_ms,
            "activeAt": self.active_at_ms,
            "startsAt": self.starts_at_ms,
            "severitySince": self.severity_since_ms,
            "endsAt": self.ends_at_ms,
            "updatedAt": self.updated_at_ms,
            "resolve_reason": self.resolve_reason,
            "inhibited_by": list(self.inhibited_by),
            "replayed": self.replayed,
            "sources": [
                {"topic": s.topic, "partition": s.partition, "first": s.first, "next": s.next} for s in self.sources
            ],
        }

    @classmethod
    def from_avro(cls, record: Mapping[str, Any]) -> "Alert":
        """The inverse of `to_avro`; times are Unix ms, as `schemas.avro` decodes them."""
        return cls(
            **{name: record[name] for name in _SAME_NAME},
            window_start_ms=record["window_start"],
            window_end_ms=record["window_end"],
            active_at_ms=record["activeAt"],
            starts_at_ms=record["startsAt"],
            severity_since_ms=record["severitySince"],
            ends_at_ms=record["endsAt"],
            updated_at_ms=record["updatedAt"],
            inhibited_by=tuple(record["inhibited_by"]),
            sources=tuple(Source(**source) for source in record["sources"]),
        )


_SAME_NAME = (
    "id", "fingerprint", "generation", "rule", "rule_version", "name", "status", "no_data", "severity", "priority",
    "labels", "annotations", "value", "threshold", "op", "unit", "samples", "resolve_reason", "replayed",
)  # fmt: skip
