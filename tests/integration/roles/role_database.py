"""What the integration tests of the roles' stores put into PostgreSQL and read from it."""

from contextlib import asynccontextmanager

import psycopg
from psycopg.types.json import Jsonb


class RoleDatabase:
    """A database of the tests, seen from outside the stores."""

    def __init__(self, url):
        self.url = url

    async def connect(self):
        """As ops.wiring would: what the stores are given."""
        return await psycopg.AsyncConnection.connect(self.url)

    def rows(self, query, *arguments):
        """Every row of a query."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(query, arguments)
            return cursor.fetchall() if cursor.description else []

    def one(self, query, *arguments):
        """The one row of a query."""
        (row,) = self.rows(query, *arguments)
        return row

    def source(self, event_id, status="PENDING"):
        """Insert a source row; returns its id."""
        return self.one(
            "INSERT INTO user_activity_source_outbox (event_id, event_name, partition_key, payload, status)"
            " VALUES (%s, 'group.created', 'member:1', '{}', %s) RETURNING id",
            event_id,
            status,
        )[0]

    def source_state(self, source_id):
        """Status, retry_count and last_error of a source row."""
        return self.one(
            "SELECT status, retry_count, last_error FROM user_activity_source_outbox WHERE id = %s", source_id
        )

    def subscription(self, subscription_id, member_id=1):
        """Insert an enabled subscription."""
        self.rows(
            "INSERT INTO push_subscription (id, member_id, endpoint, p256dh, auth) OVERRIDING SYSTEM VALUE"
            " VALUES (%s, %s, %s, 'p256dh', 'auth')",
            subscription_id,
            member_id,
            f"https://push.example/{subscription_id}",
        )

    def job(self, job_id, *, member_id=1, template_id=2, age_s=1.0):
        """Insert a READY job."""
        self.rows(
            "INSERT INTO notify_jobs (id, template_id, member_id, variables, dedup_key, scheduled_at)"
            " OVERRIDING SYSTEM VALUE VALUES (%s, %s, %s, %s, %s, now() - make_interval(secs => %s))",
            job_id,
            template_id,
            member_id,
            Jsonb({"groupId": 7, "name": "Ramen"}),
            f"job-{job_id}",
            age_s,
        )

    def job_state(self, job_id):
        """Status, retry_count and last_error of a job."""
        return self.one("SELECT status, retry_count, last_error FROM notify_jobs WHERE id = %s", job_id)

    def let_time_pass(self, seconds):
        """Move every due time and every lease into the past."""
        for table, columns in {
            "user_activity_dispatch_outbox": ("next_retry_at", "claimed_until"),
            "notify_jobs": ("scheduled_at", "first_due_at", "locked_until"),
        }.items():
            moved = ", ".join(f"{column} = {column} - make_interval(secs => {seconds})" for column in columns)
            self.rows(f"UPDATE {table} SET {moved}")


@asynccontextmanager
async def closing(*stores):
    """Close the stores' connections at the end."""
    try:
        yield stores[0] if len(stores) == 1 else stores
    finally:
        for store in stores:
            await store.close()
