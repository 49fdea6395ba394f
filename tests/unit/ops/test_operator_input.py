"""What an operator may write wrongly: it ends with a sentence and the right exit code, never with a trace."""

import json
import logging

import psycopg
import pytest
import structlog

from ops.cli import processes
from ops.cli.produce import summary
from ops.cli.root import run
from ops.cli.session import Session
from ops.cli.verbs import WRAPPER_VERBS
from ops.doctor import checks
from ops.errors import ConfigError, OperatorError
from ops.migrations import tables_lost
from ops.produce import Draft, numbered, onto_topic
from ops.settings import load, require_role
from ops.settings_model import Settings

PRODUCE = ("produce", "--event-name", "group.created")
KEYED = (*PRODUCE, "--partition-key", "member:1")
ADDRESSES = {
    "DATABASE_URL": "postgresql://u@127.0.0.1:1/app",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "SCHEMA_REGISTRY_URL": "http://127.0.0.1:1",
    "METRICS_TOKEN": "0123456789abcdef",
}


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    """Another working directory, and the test process's own logging afterwards."""
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    "words",
    [
        (*PRODUCE, "--partition-key", ""),
        (*PRODUCE, "--partition-key", "k" * 256),
        (*KEYED, "--member-id", "99999999999999999999"),
        (*KEYED, "--member-id", str(-(2**63) - 1)),
        (*KEYED, "--to", "topic", "--properties", r'{"x":"\u0000"}'),
        (*KEYED, "--properties", '{"x": NaN}'),
        (*KEYED, "--properties", '{"x": [-Infinity]}'),
        (*KEYED, "--properties", '{"x": 1e999}'),
        (*KEYED, "--properties", '{"x":' + "[" * 100_000),
        ("migrate", "--rollback-to", "99"),
        ("config", "show", "--set", "vapid_private_key=x"),
        ("--set", "DATABASE_URL=postgresql://u:p@h/d", "config", "show"),
    ],
)
def test_values_that_cannot_work_are_wrong_usage(words, capsys):
    assert run(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Error:" in captured.err


@pytest.mark.parametrize("key", ["k", "k" * 255])
def test_the_longest_key_and_the_largest_member_pass(key, capsys):
    words = (*PRODUCE, "--partition-key", key, "--member-id", str(2**63 - 1), "--properties", '{"x": [1.5, null]}')
    assert run(words) == 3
    assert "DATABASE_URL is not set" in capsys.readouterr().err


def test_a_secret_on_the_command_line_says_where_it_belongs(capsys):
    run(["config", "show", "--set", "posthog_api_key=hidden-value"])
    said = capsys.readouterr().err
    assert "POSTHOG_API_KEY of the environment" in " ".join(said.split())
    assert "POSTHOG_API_KEY_FILE" in said
    assert "hidden-value" not in said


def test_what_cannot_be_encoded_is_a_sentence(monkeypatch):
    class Client:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def codec(self):
            return self

        def encode(self, _schema, _record):
            raise ValueError("out of range")

    monkeypatch.setattr("ops.registry.registry", lambda _settings: Client())
    with pytest.raises(OperatorError, match="out of range"):
        onto_topic(Settings(), numbered(Draft("a.b", "k", {}), 1))


def test_only_what_was_inserted_counts_as_written():
    inserted, duplicate = {"result": "inserted"}, {"result": "duplicate"}
    assert summary([inserted, {"result": "acknowledged"}]) == "2 events written."
    assert summary([duplicate]).startswith("0 events written, 1 not")


@pytest.mark.parametrize(("name", "warned"), [("nobody.knows", True), ("group.created", False)])
def test_a_name_off_the_allow_list_is_warned_about(name, warned, capsys):
    run(["produce", "--event-name", name, "--partition-key", "k"])
    assert ("not on the allow list" in capsys.readouterr().err) == warned


def test_logs_of_a_verb_go_to_stderr(capsys):
    assert Session().settings.env
    structlog.get_logger("x").warning("a.b")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["event"] == "a.b"


@pytest.mark.parametrize(
    ("variable", "role"),
    [("WEB_PUSH_CA_FILE", "push"), ("KAFKA_SSL_CA_LOCATION", "relay"), ("KAFKA_SSL_CA_LOCATION", "activity")],
)
def test_a_file_that_cannot_be_read_stops_the_start_and_shows_in_the_doctor(variable, role, tmp_path, monkeypatch):
    environ = {variable: str(tmp_path / "absent.pem"), "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    loaded = load((), None, environ)
    with pytest.raises(ConfigError, match=f"{variable} is .*absent.pem.* cannot be read"):
        require_role(loaded.settings, role)
    if variable == "WEB_PUSH_CA_FILE":
        monkeypatch.setattr(checks, "_broker", lambda _settings: [])
    causes = [finding.cause for finding in checks.examine(lambda: loaded) if finding.level == "degraded"]
    assert any(variable in cause for cause in causes)


def test_a_role_does_not_need_the_files_of_another(tmp_path):
    settings = Settings(web_push_ca_file=tmp_path / "absent.pem")
    require_role(settings, "activity")
    (tmp_path / "absent.pem").write_text("x")
    require_role(settings, "push")


@pytest.mark.parametrize(("port", "wrong"), [("65535", True), ("65533", True), ("65532", False), ("0", False)])
def test_the_ports_of_all_processes_are_checked_before_they_start(port, wrong, monkeypatch):
    for name, value in {**ADDRESSES, "METRICS_PORT": port}.items():
        monkeypatch.setenv(name, value)
    names = ("relay", "activity", "marks", "windows")
    if wrong:
        with pytest.raises(ConfigError, match=f"METRICS_PORT is {port}, expected at most 65532"):
            processes._check_before_start(Session(), names)
    else:
        processes._check_before_start(Session(), names)


@pytest.mark.parametrize("name", sorted(WRAPPER_VERBS))
def test_help_answers_for_the_verbs_of_the_checkout(name, capsys):
    assert run(["help", name]) == 0
    text = capsys.readouterr().out
    assert WRAPPER_VERBS[name] in text
    assert f"./bongsu {name} --help" in text


@pytest.mark.parametrize("group", ["topics", "alerts", "dead-letters", "config"])
def test_the_help_of_a_group_has_examples(group, capsys):
    assert run([group, "--help"]) == 0
    assert f"  ./bongsu {group} " in capsys.readouterr().out.split("Examples:")[1]


def test_an_upper_case_key_of_the_file_gets_its_suggestion(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text("WEB_PUSH_TTL_S = 3\n")
    with pytest.raises(ConfigError, match="did you mean web_push_ttl_s"):
        load((), path, {})


@pytest.mark.parametrize("port", ["badport", "99999"])
def test_a_port_that_is_none_is_a_wrong_setting(port, monkeypatch, capsys):
    monkeypatch.setenv("DATABASE_URL", f"postgresql://u:hunter22@127.0.0.1:{port}/app")
    assert run(["migrate", "--status"]) == 3
    said = capsys.readouterr().err
    assert said.startswith("DATABASE_URL is postgresql://u:********@127.0.0.1")
    assert "expected postgresql://" in said


@pytest.mark.parametrize("error", [psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction])
def test_a_database_that_was_not_migrated_is_a_wrong_setting(error, monkeypatch, capsys):
    class Connection:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def execute(self, *_):
            raise error("relation does not exist")

    monkeypatch.setenv("DATABASE_URL", "postgresql://u@h/app")
    monkeypatch.setattr(psycopg, "connect", lambda *_, **__: Connection())
    assert run(KEYED) == 3
    assert "run ./bongsu migrate first" in capsys.readouterr().err


class Applied:
    """A database whose history has these migrations."""

    def __init__(self, *numbers):
        self.numbers = numbers

    def execute(self, text, *_):
        self.text = text
        return self

    def fetchone(self):
        return ("bongsu_schema_migrations",)

    def fetchall(self):
        from datetime import UTC, datetime

        return [(number, datetime.now(UTC)) for number in self.numbers]


def test_a_rollback_knows_which_tables_it_drops():
    assert "notify_jobs" in tables_lost(Applied(1, 2), 1)
    assert "user_activity_event" not in tables_lost(Applied(1, 2), 1)
    assert "user_activity_event" in tables_lost(Applied(1, 2), 0)
    assert tables_lost(Applied(), 0) == []
    assert tables_lost(Applied(1, 2, 3), 2) == []
