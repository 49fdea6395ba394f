"""What PostgreSQL holds at the end of a run, row by row for the audit, and what is still on its way."""

from dataclasses import dataclass
from typing import Any, Final

import psycopg

from devstack.demo.ledger import Database, DispatchFact, JobFact, OutboxFact, PushLogFact, StoredFact

_OUTBOX: Final = "SELECT event_id, status, last_error FROM user_activity_source_outbox"
_STORED: Final = "SELECT id, event_id, partition_key, source_topic FROM user_activity_event ORDER BY id"
_DUPLICATES: Final = (
    "SELECT count(*) FROM (SELECT event_id, COUNT(*) AS dup_cnt FROM user_activity_event"
    " GROUP BY event_id HAVING COUNT(*) > 1) AS duplicates"
)
_DISPATCH: Final = "SELECT event_id, dispatch_target, status FROM user_activity_dispatch_outbox"
_JOBS: Final = "SELECT id, event_id, rule_id, member_id, status FROM notify_jobs"
_LOGS: Final = "SELECT job_id, subscription_id, status, http_status FROM push_message_logs"
_PENDING: Final = """
SELECT (SELECT count(*) FROM user_activity_source_outbox WHERE status = 'PENDING'),
       (SELECT count(*) FROM user_activity_dispatch_outbox WHERE status = 'PENDING'
            OR (status = 'FAILED' AND next_retry_at IS NOT NULL)),
       (SELECT count(*) FROM notify_jobs WHERE status IN ('READY', 'LOCKED'))
"""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Rows whose last word is not spoken."""

    outbox: int
    dispatch: int
    jobs: int

    def __bool__(self) -> bool:
        """True while anything is left."""
        return bool(self.outbox or self.dispatch or self.jobs)


def unfinished(connection: psycopg.Connection[Any]) -> Unfinished:
    """Count the rows that are not in a final state."""
    row = connection.execute(_PENDING).fetchone()
    assert row is not None
    return Unfinished(*row)


def read_database(connection: psycopg.Connection[Any]) -> Database:
    """All rows that the audit compares, from one snapshot."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        duplicates = connection.execute(_DUPLICATES).fetchone()
        assert duplicates is not None
        return Database(
            outbox=[OutboxFact(*row) for row in connection.execute(_OUTBOX)],
            stored=[StoredFact(*row) for row in connection.execute(_STORED)],
            duplicate_rows=int(duplicates[0]),
            dispatch=[DispatchFact(*row) for row in connection.execute(_DISPATCH)],
            jobs=[JobFact(*row) for row in connection.execute(_JOBS)],
            logs=[PushLogFact(*row) for row in connection.execute(_LOGS)],
        )
