"""What the doctor makes of its readings."""

import pytest

from ops.doctor import checks, judgements
from ops.doctor.finding import Finding, Level, degraded, needs_attention, ok, warning
from ops.errors import ConfigError, DependencyUnavailable
from ops.lag import PartitionLag
from ops.settings import load
from ops.settings_model import Settings


def slot(name="bongsu", **changes):
    row = {
        "slot_name": name,
        "database": "app",
        "active": True,
        "active_pid": 7,
        "restart_lsn": "0/100",
        "confirmed_lsn": "0/100",
        "current_lsn": "0/200",
        "wal_status": "reserved",
        "safe_wal_size": None,
    }
    return {**row, **changes}


def levels(findings):
    return {finding.check: finding.level for finding in findings}


@pytest.mark.parametrize(("version", "level"), [((3, 11, 0), "ok"), ((3, 14, 2), "ok"), ((3, 10, 9), "degraded")])
def test_python(version, level):
    assert judgements.python_version(version).level == level


@pytest.mark.parametrize(("value", "level"), [("logical", "ok"), ("replica", "degraded"), ("minimal", "degraded")])
def test_wal_level(value, level):
    assert judgements.wal_level(value).level == level


def test_missing_migrations_are_named():
    finding = judgements.migrations([("1 activity", True), ("2 push", False)])
    assert finding == Finding("migrations", Level.DEGRADED, "1 of 2 are missing: 2 push", "./bongsu migrate")
    assert judgements.migrations([("1 activity", True)]).level is Level.OK


@pytest.mark.parametrize(
    ("row", "level"),
    [
        (None, "warning"),
        ({"inserts_only": False, "tables": ["a", "b"]}, "degraded"),
        ({"inserts_only": True, "tables": ["a"]}, "degraded"),
        ({"inserts_only": True, "tables": ["a", "b", "other"]}, "ok"),
    ],
)
def test_the_publication_carries_inserts_of_every_table(row, level):
    assert judgements.publication(row, "bongsu", ("a", "b")).level == level


@pytest.mark.parametrize(
    ("rows", "level"),
    [
        ([], "warning"),
        ([slot()], "ok"),
        ([slot(active=False)], "degraded"),
        ([slot(wal_status="lost", restart_lsn=None)], "degraded"),
        ([slot(wal_status="unreserved")], "warning"),
        ([slot(current_lsn="1/0")], "warning"),
    ],
)
def test_the_relays_slot(rows, level):
    assert judgements.slots(rows, "bongsu", 1024)[0].level == level


def test_slots_that_nobody_reads_are_named_with_what_they_hold():
    found = judgements.slots([slot(), slot("old", active=False, current_lsn="0/100100")], "bongsu", 1024)
    (unread,) = [finding for finding in found if finding.check == "unread_slot"]
    assert "old" in unread.cause
    assert "1.0 MiB" in unread.cause
    assert unread.level is Level.WARNING


def test_an_unlimited_slot_can_fill_the_disk():
    assert levels(judgements.slots([slot()], "bongsu", -1))["slot_limit"] is Level.WARNING
    assert levels(judgements.slots([slot()], "bongsu", 4096))["slot_limit"] is Level.OK


def backlog_row(status, oldest_s, table="notify_jobs", retrying=0):
    return {
        "table": table, "status": status, "rows": 3, "max_retry": 0, "retrying": retrying, "oldest_s": oldest_s,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "oldest_s", "level"),
    [
        ("PENDING", 10.0, "ok"),
        ("PENDING", 601.0, "degraded"),
        ("LOCKED", 601.0, "degraded"),
        ("FAILED", 1.0, "warning"),
        ("PUBLISHED", 1e6, "ok"),
    ],
)
def test_queues(status, oldest_s, level):
    assert judgements.backlog([backlog_row(status, oldest_s)], 600)[0].level == level


def test_failed_rows_with_a_retry_due_are_no_problem():
    row = backlog_row("FAILED", 1e6, "user_activity_dispatch_outbox", retrying=3)
    assert judgements.backlog([row], 600)[0].level is Level.OK
    (finding,) = judgements.backlog([{**row, "retrying": 1}], 600)
    assert finding.cause.startswith("2 rows of user_activity_dispatch_outbox are FAILED")


def test_the_advice_for_failed_rows_fits_their_table():
    source, dispatch, jobs = (
        judgements.backlog([backlog_row("FAILED", 1.0, table)], 600)[0].fix
        for table in ("user_activity_source_outbox", "user_activity_dispatch_outbox", "notify_jobs")
    )
    assert "UPDATE user_activity_source_outbox SET status='PENDING', next_retry_at=NULL" in source
    assert "sweeper" in source
    assert "UPDATE user_activity_dispatch_outbox SET status='PENDING'" in dispatch
    assert "sweeper" not in dispatch
    assert "dead-letters" not in dispatch + jobs


def test_topics():
    assert judgements.topics([], [], [])[0].level is Level.OK
    found = judgements.topics([f"t{number}" for number in range(9)], ["u"], ["v has 3 partitions"])
    assert [finding.level for finding in found] == [Level.DEGRADED, Level.DEGRADED, Level.WARNING]
    assert "9 topics are missing: t0, t1, t2, t3, t4 ..." in found[1].cause


def lag(group, behind, lost=0):
    return PartitionLag(group, "t", 0, 0, behind, behind, 1.0, lost)


def test_a_group_that_is_behind_needs_a_member():
    (finding,) = judgements.groups([lag("bongsu-push", 4), lag("bongsu-push", 1)], {"bongsu-push": 0})
    assert finding.cause == "group bongsu-push is 5 records behind and has no member"
    assert finding.fix == "./bongsu worker push"
    assert judgements.groups([lag("bongsu-push", 4)], {"bongsu-push": 1})[0].level is Level.OK
    assert judgements.groups([lag("bongsu-push", 0)], {"bongsu-push": 0})[0].level is Level.OK
    assert judgements.groups([lag("bongsu-push", 4)], {"bongsu-push": None})[0].level is Level.OK


def test_records_that_retention_took_away_unread():
    assert "removed 3 records" in judgements.groups([lag("bongsu-push", 0, lost=3)], {})[0].cause


@pytest.mark.parametrize(
    ("settings", "faults", "level"),
    [
        ({}, [], "info"),
        ({"web_push_enabled": True}, [], "ok"),
        ({"web_push_enabled": True}, ["VAPID_SUBJECT is empty."], "degraded"),
        ({"web_push_enabled": False}, ["VAPID_SUBJECT is empty."], "warning"),
        ({"web_push_enabled": True, "web_push_allow_private": True, "env": "production"}, [], "warning"),
        ({"web_push_enabled": True, "web_push_allow_private": True}, [], "ok"),
    ],
)
def test_web_push(settings, faults, level):
    assert judgements.web_push(Settings(**settings), faults).level == level


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        ({}, "info"),
        ({"posthog_enabled": True}, "degraded"),
        ({"posthog_enabled": True, "posthog_api_key": "k"}, "ok"),
        ({"posthog_enabled": True, "posthog_api_key": "k", "posthog_host": "http://posthog.example"}, "warning"),
        ({"posthog_enabled": True, "posthog_api_key": "k", "posthog_host": "http://127.0.0.1:9"}, "ok"),
    ],
)
def test_posthog(settings, level):
    assert judgements.posthog(Settings(**settings)).level == level


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "localhost", "", "/var/run/postgresql", "127.8.8.8"])
def test_this_machine(host):
    assert judgements.is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "db", "localhost.example.com", "0.0.0.0", "::"])
def test_other_machines(host):
    assert not judgements.is_loopback(host)


@pytest.mark.parametrize(
    ("settings", "hosts", "sslmode", "warned"),
    [
        ({}, [], None, False),
        ({"kafka_bootstrap_servers": "127.0.0.1:9092"}, ["127.0.0.1"], None, False),
        ({"kafka_bootstrap_servers": "127.0.0.1:9092,kafka:9092"}, [], None, True),
        ({"kafka_bootstrap_servers": "kafka:9092", "kafka_security_protocol": "SSL"}, [], None, False),
        ({}, ["db"], None, True),
        ({}, ["db"], "require", True),
        ({}, ["db"], "verify-full", False),
        ({"metrics_port": 9100, "metrics_host": "0.0.0.0", "metrics_token": "0123456789abcdef"}, [], None, True),
    ],
)
def test_plaintext_that_leaves_the_machine(settings, hosts, sslmode, warned):
    found = judgements.transport(Settings(**settings), hosts, sslmode)
    assert any(finding.level is Level.WARNING for finding in found) == warned


def test_only_what_is_degraded_changes_the_exit_code_unless_strict():
    good, bad, worse = ok("a", "b"), warning("a", "b", "c"), degraded("a", "b", "c")
    assert not needs_attention([good, bad], strict=False)
    assert needs_attention([good, bad], strict=True)
    assert needs_attention([good, worse], strict=False)


def test_everything_that_is_not_good_says_what_to_do():
    bad = [
        judgements.wal_level("replica"),
        judgements.publication(None, "p", ()),
        *judgements.slots([slot(active=False), slot("x", active=False)], "bongsu", -1),
        *judgements.backlog([backlog_row("FAILED", 1.0)], 1),
        *judgements.topics(["t"], ["t"], ["t"]),
    ]
    assert all(finding.fix for finding in bad)


@pytest.mark.parametrize(
    ("size", "text"), [(5, "5 B"), (2048, "2.0 KiB"), (3 * 2**20, "3.0 MiB"), (5 * 2**29, "2.5 GiB")]
)
def test_sizes(size, text):
    assert judgements.size_text(size) == text


def test_a_part_that_cannot_be_reached_stops_no_other_part(monkeypatch):
    def down(_settings):
        raise DependencyUnavailable("nobody answers.")

    monkeypatch.setattr(checks, "_database", down)
    found = checks.examine(lambda: load((), None, {"DATABASE_URL": "postgresql://127.0.0.1:1/x"}))
    assert levels(found)["database"] is Level.DEGRADED
    assert levels(found)["broker"] is Level.NOT_CONFIGURED
    assert levels(found)["java"] is Level.INFO


def test_wrong_settings_are_findings():
    def wrong():
        raise ConfigError("A is x.", "B is y.")

    found = checks.examine(wrong)
    assert [finding.cause for finding in found if finding.check == "settings"] == ["A is x.", "B is y."]


def test_near_misses_are_findings():
    found = checks.examine(lambda: load((), None, {"WEB_PUSH_ENABLE": "1"}))
    assert any("WEB_PUSH_ENABLED" in finding.cause and finding.level is Level.WARNING for finding in found)
