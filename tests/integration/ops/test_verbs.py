"""The verbs against the embedded database, broker and registry."""

import json
import logging
import time
from uuid import uuid4

import pytest
import structlog
from confluent_kafka import Producer

from ops.cli.root import run
from ops.exit_codes import ExitCode
from ops.kafka_config import producer_config
from ops.registry import registry
from ops.settings_model import Settings
from schemas.alert import Alert
from schemas.dead_letter import DeadLetter

pytestmark = pytest.mark.integration

PRODUCE = ("produce", "--event-name", "group.created", "--partition-key", "member:1")


@pytest.fixture
def verbs(embedded_stack, monkeypatch, capsys, tmp_path):
    """Run a verb with JSON output; returns (exit code, parsed stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", embedded_stack.database_url)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", embedded_stack.bootstrap_servers)
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", embedded_stack.registry_url)
    monkeypatch.setenv("EMBEDDED_BROKER", "1")
    monkeypatch.setenv("GROUP_PREFIX", f"t{uuid4().hex[:8]}")

    def call(*words):
        code = run([*words, "--output", "json"])
        captured = capsys.readouterr()
        return code, json.loads(captured.out) if captured.out else None, captured.err

    return call


@pytest.fixture
def default_groups(monkeypatch):
    """The embedded broker has the changelog topics of the default group prefix only."""
    monkeypatch.delenv("GROUP_PREFIX")


@pytest.fixture(autouse=True)
def _own_logging():
    """Give the test process its logging back after a verb has configured it."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def feed(embedded_stack):
    """Write Avro records onto a topic as a worker would."""
    settings = Settings(
        kafka_bootstrap_servers=embedded_stack.bootstrap_servers, schema_registry_url=embedded_stack.registry_url
    )
    with registry(settings) as client:
        codec = client.register_all()
    producer = Producer(producer_config(settings, "feed"))

    def write(topic, schema, record, key=b"k"):
        producer.produce(topic, codec.encode(schema, record), key)
        assert producer.flush(10) == 0

    return write


def test_an_event_written_into_the_outbox_is_a_pending_row(verbs):
    event_id = str(uuid4())
    words = (*PRODUCE, "--event-id", event_id)
    assert verbs(*words)[1] == [{"event_id": event_id, "to": "outbox", "result": "inserted"}]
    _, rows, said = verbs(*words)
    assert rows == [{"event_id": event_id, "to": "outbox", "result": "duplicate"}]
    assert said.startswith("0 events written")
    code, report, _ = verbs("lag")
    assert code == 0
    (queue,) = [row for row in report["queues"] if row["table"] == "user_activity_source_outbox"]
    assert queue["status"] == "PENDING"
    assert queue["rows"] >= 1


def test_a_rollback_that_drops_tables_wants_to_be_confirmed(verbs, database, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", database)
    code, _, said = verbs("migrate", "--rollback-to", "0")
    assert code == ExitCode.USAGE
    assert "user_activity_event" in said
    assert "--yes" in said
    assert all(state["applied_at"] for state in verbs("migrate", "--status")[1])
    assert verbs("migrate", "--rollback-to", "0", "--yes")[0] == 0
    for words in (PRODUCE, ("lag",)):
        code, data, said = verbs(*words)
        assert (code, data) == (ExitCode.CONFIGURATION, None)
        assert "run ./bongsu migrate first" in said
    assert verbs("migrate")[0] == 0


def test_events_on_the_topic_are_lag_in_records_and_seconds(verbs):
    key = f"member:{uuid4()}"
    words = ("produce", "--event-name", "group.created", "--partition-key", key, "--to", "topic", "--count", "5")
    code, rows, _ = verbs(*words)
    assert code == 0
    first = rows[0]["offset"]
    assert [row["offset"] for row in rows] == list(range(first, first + 5))
    _, report, _ = verbs("lag", "--role", "activity", "--groups-only")
    behind = [row for row in report["groups"] if row["topic"] == "activity.events" and row["lag"]]
    assert sum(row["lag"] for row in behind) >= 5
    assert all(0 <= row["lag_s"] < 600 for row in behind)
    idle = [row for row in report["groups"] if not row["lag"]]
    assert idle
    assert all(row["lag_s"] == 0 for row in idle)


def test_refused_records_are_listed_and_shown_whole(verbs, feed):
    now_ms = time.time_ns() // 1_000_000
    offset = now_ms
    letter = DeadLetter(
        "activity.events", 2, offset, now_ms, b"key", b"\x00\xff", (), "e-1", "not_avro", "no framing", 1, now_ms,
        "activity", "0.1.0", 2,
    )  # fmt: skip
    feed("activity.events.dead-letters", "dead-letter", letter.to_avro())
    _, rows, _ = verbs("dead-letters", "list", "--topic", "activity.events", "--limit", "1000")
    (row,) = [row for row in rows if row["position"] == f"2/{offset}"]
    assert (row["reason"], row["source_identity"]) == ("not_avro", "e-1")
    assert verbs("dead-letters", "list", "--reason", "conflict")[1] == []
    for position in (f"activity.events/2/{offset}", row["letter"]):
        code, shown, _ = verbs("dead-letters", "show", position)
        assert code == 0
        assert shown["value"] == {"encoding": "base64", "data": "AP8="}
    assert verbs("dead-letters", "show", "activity.events/3/999999999999999")[0] == ExitCode.NOT_FOUND


def test_of_each_alert_the_last_record_is_shown(verbs, feed):
    fingerprint = uuid4().hex
    for generation, status in ((1, "firing"), (2, "resolved")):
        alert = Alert(
            "id", fingerprint, generation, "push_delivered_ratio", "v", "연속 실패율", status, "critical", "P1",
            1_000, 1_000, 1_000, 1_000 + generation, "<", "ratio",
        )  # fmt: skip
        feed("alerts", "alert", alert.to_avro(), fingerprint.encode())
    _, rows, _ = verbs("alerts", "tail", "--no-follow")
    (row,) = [row for row in rows if row["fingerprint"] == fingerprint]
    assert (row["status"], row["generation"], row["name"]) == ("resolved", 2, "연속 실패율")
    _, rows, _ = verbs("alerts", "tail", "--no-follow", "--firing")
    assert fingerprint not in [row["fingerprint"] for row in rows]


def test_topics_and_migrations_are_there(verbs, default_groups):
    _, steps, _ = verbs("topics", "plan")
    assert {step["step"] for step in steps} == {"ignored"}
    _, rows, _ = verbs("topics", "list")
    assert all(row["present"] == row["partitions"] for row in rows)
    _, states, _ = verbs("migrate", "--status")
    assert all(state["applied_at"] for state in states)


def test_tables_without_a_windows_worker_say_so(verbs):
    code, _, said = verbs("tables")
    assert code == ExitCode.NOT_FOUND
    assert "worker windows" in said


def test_tables_that_nobody_has_written_are_empty(verbs, default_groups):
    code, report, _ = verbs("tables")
    assert code == 0
    assert set(report) == {"windows", "positions", "alerts"}


def test_missing_changelog_topics_are_planned(verbs):
    _, steps, _ = verbs("topics", "plan")
    assert [step["topic"] for step in steps if step["step"] == "create"] != []


def test_the_doctor_finds_nothing_degraded_in_fresh_parts(verbs, default_groups):
    _, rows, _ = verbs("doctor")
    levels = {row["check"]: row["level"] for row in rows}
    for check in ("database", "wal_level", "migrations", "broker", "topics", "registry"):
        assert levels[check] == "ok"


def test_a_login_that_is_turned_away_is_a_wrong_setting(verbs, embedded_stack, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", embedded_stack.database_url.replace("://postgres:", "://nobody:"))
    code, _, said = verbs("migrate", "--status")
    assert code == ExitCode.CONFIGURATION
    assert "DATABASE_URL is postgresql://nobody:********@" in said


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("DATABASE_URL", "postgresql://u:hunter22@127.0.0.1:1/app", ("migrate", "--status")),
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1", ("lag",)),
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1", ("topics", "plan")),
        ("SCHEMA_REGISTRY_URL", "http://127.0.0.1:1", ("dead-letters", "list")),
        ("SCHEMA_REGISTRY_URL", "http://127.0.0.1:1", (*PRODUCE, "--to", "topic")),
    ],
)
def test_what_does_not_answer_is_code_7_and_a_sentence_with_the_setting(verbs, monkeypatch, variable, value, words):
    monkeypatch.setenv(variable, value)
    code, data, said = verbs(*words)
    assert code == ExitCode.UNAVAILABLE
    assert data is None
    assert variable in said
    assert "hunter22" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize("words", [("relay",), ("worker", "activity")])
def test_a_start_without_its_broker_waits_and_ends_with_code_7(verbs, monkeypatch, words):
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("START_TIMEOUT_S", "3")
    monkeypatch.setenv("LOG_FORMAT", "json")
    code, _, said = verbs(*words)
    assert code == ExitCode.UNAVAILABLE
    events = [json.loads(line) for line in said.splitlines()]
    assert events[0]["event"] == "start.waiting"
    assert events[-1]["event"] == "process.refused"
    assert "did not answer within 3 s" in events[-1]["message"]
