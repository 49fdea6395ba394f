"""The report of a finished run: the JSON object of `demo --exit`. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from devstack.demo.audit import Discrepancy
from devstack.demo.ledger import Ledgers
from schemas.alert import Alert
from topics.registry import dead_letter_topic

_GONE = (404, 410)
_DISPATCH_STATES = ("DISPATCHED", "FAILED", "PENDING")


def report(
    ledgers: Ledgers, alerts: Sequence[Alert], discrepancies: Sequence[Discrepancy | str], seconds: float
) -> dict[str, Any]:
    """The object, with exactly these keys in this order.

    `duplicates` counts records on the input topics that repeat an event with the same body; those with another body
    are among the dead letters, as conflicts.
    """
    database, arrivals = ledgers.database, ledgers.arrivals
    dispatch = Counter(row.status for row in database.dispatch)
    logs = Counter(_outcome(log.status, log.http_status) for log in database.logs)
    conflicts = sum(1 for repeat in ledgers.written.repeats if repeat.differs)
    known = {event.event_id for event in ledgers.written.events}
    copies = sum(count for event_id, count in arrivals.by_event.items() if event_id in known)
    return {
        "outbox_rows": len(database.outbox),
        "distinct_events": len(known),
        "stored": len(database.stored),
        "duplicates": max(0, copies - len(known) - conflicts),
        "duplicate_rows": database.duplicate_rows,
        "dead_letters": dict(sorted(Counter(dead_letter_topic(one.topic) for one in ledgers.dead_letters).items())),
        "dispatch": {state: dispatch[state] for state in _DISPATCH_STATES},
        "posthog": {
            "received": sum(ledgers.receivers.posthog.values()),
            "distinct": len(ledgers.receivers.posthog),
        },
        "push": {"jobs": len(database.jobs), **{name: logs[name] for name in ("delivered", "gone", "failed")}},
        "alerts": [{"rule": alert.rule, "status": alert.status, "severity": alert.severity} for alert in alerts],
        "audit": [str(one) for one in discrepancies] or "pass",
        "seconds": round(seconds, 1),
    }


def _outcome(status: str, http_status: int | None) -> str:
    if status == "DELIVERED":
        return "delivered"
    return "gone" if http_status in _GONE else "failed"


def as_table(said: dict[str, Any]) -> str:
    """The report for people, one line per key."""
    return "\n".join(f"{key:<16} {_words(key, value)}" for key, value in said.items())


def _words(key: str, value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items()) or "none"
    if key == "alerts":
        return ", ".join(f"{one['rule']} {one['status']} ({one['severity']})" for one in value) or "none"
    if isinstance(value, list):
        return "does not add up\n" + "\n".join(f"  - {line}" for line in value)
    return str(value)
