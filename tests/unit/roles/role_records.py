"""Builders of records, rows and jobs for the tests of the roles and their stores."""

import json
from datetime import UTC, datetime
from uuid import UUID, uuid4

from schemas.activity import ActivityEvent, event_from_outbox_row
from schemas.event_names import EventNames
from sinks.ports import PushTarget
from sinks.store_values import DispatchRow, EventRow, PushJob, PushTemplate
from streams.engine.batch import PlainRecord, RecordBatch

SOURCE = "cdc.public.user_activity_source_outbox"
AVRO = "activity.events"
ALLOWED = EventNames(frozenset({"group.created", "review.saved"}))


def outbox_row(row_id=1, event_id=None, payload='{"groupId":7,"name":"Ramen"}', **columns):
    """A row of the source outbox as the wire carries it."""
    return {
        "id": row_id,
        "event_id": str(event_id or uuid4()),
        "event_name": "group.created",
        "event_version": 1,
        "partition_key": "member:1",
        "member_id": 1,
        "anonymous_id": None,
        "session_id": "s-1",
        "platform": "web",
        "request_id": None,
        "trace_id": None,
        "occurred_at": "2026-11-21T08:00:00.123456Z",
        "payload": payload,
        "status": "PENDING",
        **columns,
    }


def change_value(row, *, op="c", commit_ms=1_763_712_000_000, lsn=1000):
    """A change event's bytes."""
    source = {
        "table": "user_activity_source_outbox",
        "ts_ms": commit_ms,
        "lsn": lsn,
        "txId": 5,
        "sequence": '["9","10"]',
    }
    before, after = (row, None) if op == "d" else (None, row)
    return json.dumps({"op": op, "before": before, "after": after, "source": source, "ts_ms": commit_ms}).encode()


def record(value, offset=0, *, topic=SOURCE, partition=0, key=b"member:1"):
    """A record at a position."""
    return PlainRecord(topic, partition, offset, 1_763_712_000_000, key, value)


def batch(*values, topic=SOURCE, partition=0, first=0):
    """A batch of values at rising offsets."""
    records = [record(value, first + place, topic=topic, partition=partition) for place, value in enumerate(values)]
    return RecordBatch(topic, partition, records, first, first + len(records), 1)


def event(event_id=None, *, row_id=1, payload='{"groupId":7,"name":"Ramen"}', **columns) -> ActivityEvent:
    """A valid event."""
    return event_from_outbox_row(outbox_row(row_id, event_id, payload, **columns), ALLOWED)


def event_row(offset=0, event_id=None, *, source_id=None, reemitted=False, partition=0, topic=SOURCE, **columns):
    """An event at a position."""
    return EventRow(
        event(event_id, **columns),
        topic,
        partition,
        offset,
        lsn=1000 + offset,
        source_id=source_id,
        reemitted=reemitted,
    )


def dispatch_row(dispatch_id=1, *, retry_count=0, event_id=None, **columns) -> DispatchRow:
    """A claimed dispatch row with its event."""
    values = {
        "event_name": "group.created",
        "event_version": 1,
        "partition_key": "member:1",
        "member_id": 1,
        "anonymous_id": "a-1",
        "session_id": None,
        "platform": "web",
        "request_id": None,
        "trace_id": None,
        "occurred_at": datetime(2026, 11, 21, 8, tzinfo=UTC),
        "properties": '{"groupId": 7}',
    }
    return DispatchRow(dispatch_id, event_id or uuid4(), retry_count, **{**values, **columns})


def push_target(subscription_id=1) -> PushTarget:
    """A subscription; no sender of the tests looks at its keys."""
    return PushTarget(subscription_id, f"https://push.example/{subscription_id}", "p256dh", "auth")


def push_template(**columns) -> PushTemplate:
    """Template 2 of the seed."""
    values = {
        "template_id": 2,
        "title": "Your group is ready",
        "body": "The group {name} was created.",
        "url": "/groups/{groupId}",
        "urgency": "normal",
        "ttl_s": 3600,
        "active": True,
    }
    return PushTemplate(**{**values, **columns})


def push_job(job_id=1, *, targets=(1,), **columns) -> PushJob:
    """A claimed job of member 1."""
    values = {
        "job_id": job_id,
        "dedup_key": f"job-{job_id}",
        "event_id": UUID(int=job_id),
        "member_id": 1,
        "variables": '{"groupId": 7, "name": "Ramen"}',
        "retry_count": 0,
        "age_s": 1.0,
        "template": push_template(),
        "targets": tuple(push_target(subscription_id) for subscription_id in targets),
    }
    return PushJob(**{**values, **columns})
