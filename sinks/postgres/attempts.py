"""Writes rows of dispatch_attempts, for every store that sends."""

from typing import Any

from psycopg import AsyncCursor

from sinks.postgres.statements import statement
from sinks.postgres.text import storable
from sinks.store_values import DispatchAttempt


async def log_attempt(cursor: AsyncCursor[Any], target: str, attempt: DispatchAttempt) -> None:
    """Insert the attempt in the cursor's transaction; `target` is the value of dispatch_target."""
    await cursor.execute(
        statement("log_attempt"),
        {
            "target": target,
            "batch_id": attempt.batch_id,
            "attempted": attempt.attempted,
            "succeeded": attempt.succeeded,
            "failed": attempt.failed,
            "http_status": attempt.http_status,
            "error_code": attempt.error_code,
            "error_message": None if attempt.error_message is None else storable(attempt.error_message),
            "duration_ms": attempt.duration_ms,
        },
    )
