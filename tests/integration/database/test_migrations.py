"""The tables as the runbooks name them, on a real PostgreSQL: their SQL word for word, rollbacks, roles."""

import psycopg
import pytest

from ops import migrations

pytestmark = pytest.mark.integration

# 001 §6 and 004 §3-C, as they stand there.
RUNBOOK_SQL = {
    "001 L145 stored lately": """
SELECT event_name, COUNT(*) AS cnt
FROM user_activity_event
WHERE occurred_at >= NOW() - INTERVAL '30 minutes'
GROUP BY event_name
ORDER BY cnt DESC;
""",
    "001 L154 duplicates": """
SELECT event_id, COUNT(*) AS dup_cnt
FROM user_activity_event
GROUP BY event_id
HAVING COUNT(*) > 1;
""",
    "001 L163 backlog": """
SELECT status, COUNT(*) AS cnt, MAX(retry_count) AS max_retry
FROM user_activity_source_outbox
GROUP BY status;
""",
    "001 L169 stuck rows": """
SELECT id, event_id, status, retry_count, next_retry_at, last_error, updated_at
FROM user_activity_source_outbox
WHERE status IN ('PENDING', 'FAILED')
ORDER BY id ASC
LIMIT 200;
""",
}
DISPATCH_SQL = {
    "dispatch_target": """
SELECT dispatch_target, status, COUNT(*) AS cnt
FROM user_activity_dispatch_outbox
GROUP BY dispatch_target, status
ORDER BY dispatch_target, status;
""",
    "sink_type": """
SELECT sink_type, status, COUNT(*) AS cnt
FROM user_activity_dispatch_outbox
GROUP BY sink_type, status
ORDER BY sink_type, status;
""",
}
TABLES = [
    "dispatch_attempts", "notify_jobs", "notify_rules", "push_message_logs", "push_subscription", "push_templates",
    "user_activity_dispatch_outbox", "user_activity_enqueue_gap", "user_activity_event", "user_activity_source_outbox",
]  # fmt: skip


@pytest.fixture(params=["database", "database15"])
def empty(request):
    """A database without our tables, on PostgreSQL 18 and 15."""
    with psycopg.connect(request.getfixturevalue(request.param), autocommit=True) as conn:
        migrations.rollback(conn, 0)
        yield conn


def tables(conn):
    rows = conn.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"
    )
    return [name for (name,) in rows if name != "bongsu_schema_migrations"]


def leftovers(conn):
    return conn.execute(
        "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname LIKE 'bongsu%'"
    ).fetchone()[0]


@pytest.mark.parametrize("column", ["dispatch_target", "sink_type"])
def test_every_step_goes_up_down_and_up_again(empty, column):
    assert tables(empty) == []
    migrations.apply(empty, column)
    assert tables(empty) == TABLES
    for to in range(len(migrations.migrations()) - 1, -1, -1):
        assert [undone.number for undone in migrations.rollback(empty, to, column)] == [to + 1]
        assert migrations.apply(empty, column)[0].number == to + 1
        migrations.rollback(empty, to, column)
    assert tables(empty) == []
    assert leftovers(empty) == 0
    migrations.apply(empty, column)
    assert tables(empty) == TABLES
    assert all(state.applied_at for state in migrations.status(empty, column))


@pytest.mark.parametrize("column", ["dispatch_target", "sink_type"])
def test_the_runbooks_sql_runs_word_for_word(empty, column):
    migrations.apply(empty, column)
    empty.execute("SELECT bongsu_publish_activity('group.created', '{}', 'member-1')")
    empty.execute(
        psycopg.sql.SQL(
            "INSERT INTO user_activity_dispatch_outbox (event_id, {}) VALUES (gen_random_uuid(), 'POSTHOG')"
        ).format(psycopg.sql.Identifier(column))
    )
    found = {name: empty.execute(text).fetchall() for name, text in RUNBOOK_SQL.items()}
    assert found["001 L163 backlog"] == [("PENDING", 1, 0)]
    assert len(found["001 L169 stuck rows"]) == 1
    assert found["001 L154 duplicates"] == []
    assert empty.execute(DISPATCH_SQL[column]).fetchall() == [("POSTHOG", "PENDING", 1)]


def test_another_column_name_is_refused(empty):
    with pytest.raises(migrations.MigrationError, match="dispatch_target, sink_type"):
        migrations.apply(empty, "target; DROP TABLE x")


def test_a_changed_column_after_the_fact_is_an_error_not_a_second_table(empty):
    migrations.apply(empty, "dispatch_target")
    with pytest.raises(migrations.MigrationError, match="DISPATCH_TARGET_COLUMN"):
        migrations.apply(empty, "sink_type")


def test_rolling_back_to_what_does_not_exist_is_refused(empty):
    with pytest.raises(migrations.MigrationError, match="no migration 99"):
        migrations.rollback(empty, 99)


def test_templates_one_to_six_are_there(empty):
    migrations.apply(empty)
    assert empty.execute("SELECT array_agg(id ORDER BY id) FROM push_templates").fetchone()[0] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("table", "columns", "values"),
    [
        (
            "user_activity_source_outbox",
            "event_id, event_name, partition_key, payload, status",
            "gen_random_uuid(), 'x', 'k', '{}', 'LOST'",
        ),
        ("user_activity_dispatch_outbox", "event_id, dispatch_target, status", "gen_random_uuid(), 'POSTHOG', 'DONE'"),
        ("notify_jobs", "template_id, member_id, dedup_key, status", "1, 1, 'd', 'PENDING'"),
        ("push_message_logs", "job_id, template_id, member_id, dedup_key, status", "1, 1, 1, 'd', 'SENT'"),
        ("push_subscription", "member_id, endpoint, p256dh, auth, enabled_yn", "1, 'https://x', 'p', 'a', 2"),
        ("user_activity_source_outbox", "event_id, event_name, payload", "gen_random_uuid(), 'x', '{}'"),
    ],
)
def test_states_are_the_runbooks_and_the_partition_key_is_not_null(empty, table, columns, values):
    migrations.apply(empty)
    with pytest.raises(psycopg.errors.IntegrityError):
        empty.execute(f"INSERT INTO {table} ({columns}) VALUES ({values})")


def test_the_function_inserts_once_inside_the_callers_transaction(empty):
    migrations.apply(empty)
    with empty.transaction() as outer:
        empty.execute("SELECT bongsu_publish_activity('group.created', '{}', 'k')")
        raise psycopg.Rollback(outer)
    assert empty.execute("SELECT count(*) FROM user_activity_source_outbox").fetchone() == (0,)
    call = "SELECT bongsu_publish_activity('group.created', '{}', 'k', event_id => %s::uuid)"
    identity = "7432d06d-88f7-406f-bbea-890b03921dfc"
    assert empty.execute(call, (identity,)).fetchone() == ("inserted",)
    assert empty.execute(call, (identity,)).fetchone() == ("duplicate",)


def test_each_role_can_do_its_work_and_no_more(empty):
    migrations.apply(empty)

    def as_role(role, statement):
        with empty.transaction(force_rollback=True):
            empty.execute(f"SET LOCAL ROLE {role}")
            return empty.execute(statement).rowcount

    publish = "SELECT bongsu_publish_activity('group.created', '{}', 'k')"
    as_role("bongsu_producer", publish)
    as_role("bongsu_worker", "UPDATE user_activity_source_outbox SET status = 'PUBLISHED'")
    gap = "INSERT INTO user_activity_enqueue_gap (first_event, last_event, source_topic, source_partition, dispatches)"
    as_role("bongsu_worker", f"{gap} VALUES (1, 2, 't', 0, true)")
    as_role("bongsu_worker", "SELECT * FROM user_activity_enqueue_gap FOR UPDATE SKIP LOCKED")
    as_role("bongsu_worker", "UPDATE user_activity_enqueue_gap SET failed_at = now()")
    as_role("bongsu_worker", "DELETE FROM user_activity_enqueue_gap")
    as_role("bongsu_relay", "SELECT * FROM notify_jobs")
    as_role("bongsu_reader", "SELECT * FROM push_message_logs")
    forbidden = [
        ("bongsu_producer", "SELECT * FROM user_activity_source_outbox"),
        ("bongsu_producer", "INSERT INTO user_activity_source_outbox DEFAULT VALUES"),
        ("bongsu_relay", "DELETE FROM user_activity_source_outbox"),
        ("bongsu_relay", "SELECT * FROM push_subscription"),
        ("bongsu_worker", "DELETE FROM user_activity_event"),
        ("bongsu_worker", "UPDATE user_activity_event SET event_name = 'x'"),
        ("bongsu_worker", publish),
        ("bongsu_reader", "SELECT endpoint FROM push_subscription"),
        ("bongsu_reader", "UPDATE notify_jobs SET status = 'DONE'"),
    ]
    for role, statement in forbidden:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_role(role, statement)


def test_two_processes_that_migrate_at_once_do_it_once(empty):
    from concurrent.futures import ThreadPoolExecutor

    def migrate():
        with psycopg.connect(empty.info.dsn, password=empty.info.password, autocommit=True) as conn:
            return len(migrations.apply(conn))

    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: migrate(), range(4)))
    assert sum(counts) == len(migrations.migrations())
