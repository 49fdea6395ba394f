"""Builders for change records, as Debezium or the relay writes them."""

import orjson

from schemas.change import EPOCH_HEADER
from schemas.progress import Progress, encode_progress
from streams.engine.batch import PlainRecord, RecordBatch

PUSH_LOGS = "cdc.public.push_message_logs"
ATTEMPTS = "cdc.public.dispatch_attempts"
PROGRESS = "bongsu.progress"


def envelope(table, row, *, op="c", commit_ms=1_000, tx=1, lsn=10, previous=1):
    sequence = None if previous is None else str(previous)
    source = {
        "ts_ms": commit_ms,
        "table": table,
        "schema": "public",
        "txId": tx,
        "lsn": lsn,
        "sequence": orjson.dumps([sequence, str(lsn)]).decode(),
    }
    return orjson.dumps({"before": None, "after": row, "source": source, "op": op, "ts_ms": commit_ms})


def push_log(key, status="DELIVERED", **place):
    return envelope("push_message_logs", {"id": key, "status": status}, **place)


def attempt(key, attempted, failed, target="POSTHOG", **place):
    row = {"id": key, "dispatch_target": target, "attempted": attempted, "failed": failed}
    return envelope("dispatch_attempts", row, **place)


def batch_of(topic, values, *, first=0, partition=0, generation=1, epoch="7-1"):
    headers = () if epoch is None else ((EPOCH_HEADER, epoch.encode()),)
    records = tuple(
        PlainRecord(topic, partition, first + place, 0, None, value, headers) for place, value in enumerate(values)
    )
    return RecordBatch(topic, partition, records, first, first + len(records), generation)


def progress_batch(commit_ms, ends, *, first=0, generation=1, partition=0):
    value = encode_progress(Progress("7-1", 1, commit_ms, ends))
    return batch_of(PROGRESS, [value], first=first, generation=generation, partition=partition)
