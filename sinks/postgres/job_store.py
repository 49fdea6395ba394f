"""Claims notify jobs; writes what came of sending them (logs, subscriptions, jobs, attempt) in one transaction."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncCursor

from sinks.ports import PushTarget
from sinks.postgres.attempts import log_attempt
from sinks.postgres.session import Connect, Session
from sinks.postgres.statements import statement
from sinks.postgres.text import storable
from sinks.store_values import DispatchAttempt, JobResult, PushJob, PushLog, PushTemplate, SettleReport

WEB_PUSH = "WEB_PUSH"
"""The dispatch_target of the attempts."""


class PostgresJobStore:
    """`streams.roles.ports.JobStore` on PostgreSQL.

    Args:
        connect: makes a connection (see `sinks.postgres.session`).
        timeout_s: longest transaction.
    """

    def __init__(self, connect: Connect, *, timeout_s: float = 60.0) -> None:
        self._session = Session(connect, on_connect=("SET jit = off",), timeout_s=timeout_s)

    async def claim(self, token: UUID, *, limit: int, lease_s: float) -> tuple[PushJob, ...]:
        """See the port."""
        scope = {"token": token, "limit": limit, "lease_s": lease_s}
        async with self._session.transaction() as connection, connection.cursor() as cursor:
            await cursor.execute(statement("claim_jobs"), scope)
            claimed = await cursor.fetchall()
            if not claimed:
                return ()
            ids = {"ids": [row[0] for row in claimed]}
            await cursor.execute(statement("push_targets"), ids)
            targets: dict[int, list[PushTarget]] = defaultdict(list)
            for job_id, *target in await cursor.fetchall():
                targets[job_id].append(PushTarget(*target))
            await cursor.execute(statement("final_outcomes"), ids)
            final = {job_id: (total, delivered) for job_id, total, delivered in await cursor.fetchall()}
        return tuple(_job(row, targets[row[0]], *final.get(row[0], (0, 0))) for row in claimed)

    async def settle(
        self, token: UUID, results: Sequence[JobResult], attempt: DispatchAttempt | None = None
    ) -> SettleReport:
        """See the port."""
        if not results:
            return SettleReport(0, 0, 0)
        async with self._session.transaction() as connection, connection.cursor() as cursor:
            scope = {"ids": [result.job_id for result in results], "token": token}
            await cursor.execute(statement("held_jobs"), scope)
            held = {job_id for (job_id,) in await cursor.fetchall()}
            written = [result for result in results if result.job_id in held]
            logs = [log for result in written for log in result.logs]
            conflicts = len(logs) - await _log(cursor, logs)
            disabled = await _disable(cursor, written)
            if written:
                await cursor.execute(statement("settle_jobs"), {**_columns(written), "token": token})
            if written and attempt is not None:
                await log_attempt(cursor, WEB_PUSH, attempt)
        return SettleReport(len(written), conflicts, disabled)

    async def close(self) -> None:
        """Close the connection."""
        await self._session.close()


def _job(row: Sequence[Any], targets: Sequence[PushTarget], final: int, delivered: int) -> PushJob:
    job_id, dedup_key, event_id, member_id, variables, retry_count, age_s, template_id, *template = row
    title, body, url, urgency, ttl_s, enabled_yn = template
    known = None if title is None else PushTemplate(template_id, title, body, url, urgency, ttl_s, enabled_yn == 1)
    return PushJob(
        job_id=job_id,
        dedup_key=dedup_key,
        event_id=event_id,
        member_id=member_id,
        variables=variables,
        retry_count=retry_count,
        age_s=age_s,
        template=known,
        targets=tuple(targets),
        delivered_before=delivered,
        final_before=final,
    )


async def _log(cursor: AsyncCursor[Any], logs: Sequence[PushLog]) -> int:
    """Rows inserted; the others were there already."""
    if not logs:
        return 0
    await cursor.execute(
        statement("log_messages"),
        {
            "job_ids": [log.job_id for log in logs],
            "subscription_ids": [log.subscription_id for log in logs],
            "template_ids": [log.template_id for log in logs],
            "member_ids": [log.member_id for log in logs],
            "statuses": ["DELIVERED" if log.delivered else "FAILED" for log in logs],
            "http_statuses": [log.http_status for log in logs],
            "error_codes": [log.error_code for log in logs],
            "error_messages": [None if log.error_message is None else storable(log.error_message) for log in logs],
            "dedup_keys": [log.dedup_key for log in logs],
        },
    )
    return cursor.rowcount


async def _disable(cursor: AsyncCursor[Any], results: Sequence[JobResult]) -> int:
    gone = {
        subscription_id: (reason, result.job_id)
        for result in results
        for subscription_id, reason in (result.disabled or {}).items()
    }
    if not gone:
        return 0
    # In one order everywhere: two workers that disable the same two subscriptions must not wait for each other.
    ids = sorted(gone)
    await cursor.execute(
        statement("disable_subscriptions"),
        {
            "ids": ids,
            "reasons": [storable(gone[subscription_id][0]) for subscription_id in ids],
            "job_ids": [gone[subscription_id][1] for subscription_id in ids],
        },
    )
    return cursor.rowcount


def _columns(results: Sequence[JobResult]) -> dict[str, list[Any]]:
    return {
        "ids": [result.job_id for result in results],
        "statuses": [result.status.value for result in results],
        "retry_counts": [result.retry_count for result in results],
        "last_errors": [None if result.last_error is None else storable(result.last_error) for result in results],
        "dues_in_s": [result.due_in_s for result in results],
        "holds_s": [result.hold_s for result in results],
    }
