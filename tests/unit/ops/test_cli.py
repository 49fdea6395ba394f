"""The command line: every verb of the issue, examples, suggestions, exit codes, stdout for data only."""

import json
import logging
import shlex
import subprocess
import sys

import click
import pytest
import structlog
from click.testing import CliRunner

from ops.cli.root import root, run
from ops.cli.verbs import Verb
from ops.errors import Conflict, DependencyUnavailable, NotFound, OperatorError
from ops.exit_codes import ExitCode, table
from ops.settings_layers import names

VERBS = [
    "up", "relay", "worker", "topics plan", "topics apply", "topics list", "migrate", "produce", "lag", "tables",
    "alerts tail", "dead-letters list", "dead-letters show", "config show", "doctor", "help",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root_logger = logging.getLogger()
    before, level = root_logger.handlers[:], root_logger.level
    yield
    root_logger.handlers[:] = before
    root_logger.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def every_verb(command=root, path=()):
    for name, inner in command.commands.items():
        if isinstance(inner, click.Group):
            yield from every_verb(inner, (*path, name))
        else:
            yield " ".join((*path, name)), inner


def test_exactly_the_verbs_of_the_issue_exist():
    assert sorted(name for name, _ in every_verb()) == sorted(VERBS)


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_has_help_with_a_sentence_and_examples(name):
    result = CliRunner().invoke(root, [*name.split(), "--help"])
    assert result.exit_code == 0
    text = result.stdout
    assert "Examples:" in text
    assert f"./bongsu {name}" in text.split("Examples:")[1]
    for option in ("--config", "--set", "--output", "--no-color"):
        assert option in text


@pytest.mark.parametrize(("name", "verb"), list(every_verb()))
def test_every_example_is_a_command_line_that_parses(name, verb):
    assert isinstance(verb, Verb)
    for example in verb.examples:
        words = shlex.split(example)
        words = words[words.index("./bongsu") + 1 + len(name.split()) :]
        with verb.make_context(name, words, obj=None):
            pass


def test_the_listing_is_not_cut_off():
    text = CliRunner().invoke(root, ["--help"], terminal_width=78).stdout
    assert "..." not in text.split("Commands:")[1].split("Examples:")[0]


def test_help_lists_the_wrappers_verbs_and_the_exit_codes():
    text = CliRunner().invoke(root, ["--help"]).stdout
    assert "demo" in text
    assert table() in text


def test_help_of_a_verb_in_both_spellings():
    by_option = CliRunner().invoke(root, ["topics", "apply", "--help"]).stdout
    by_verb = CliRunner().invoke(root, ["help", "topics", "apply"]).stdout
    assert by_option.split("\n", 1)[1] == by_verb.split("\n", 1)[1]


def test_without_a_verb_the_help_is_shown(capsys):
    assert run([]) == ExitCode.OK
    assert "Examples:" in capsys.readouterr().out
    assert run(["topics"]) == ExitCode.OK
    assert "plan" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["lagg"], "Did you mean lag?"),
        (["topics", "aply"], "Did you mean apply?"),
        (["dead-leters"], "Did you mean dead-letters?"),
        (["dmo"], "Did you mean demo?"),
        (["demo"], "run ./bongsu demo"),
        (["help", "lagg"], "Did you mean lag?"),
        (["xyzzy"], "There are: "),
    ],
)
def test_a_wrong_verb_gets_the_nearest_and_code_2(words, hint, capsys):
    assert run(words) == ExitCode.USAGE == 2
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["worker", "nobody"], ["lag", "--nope"], ["produce"], ["migrate", "--rollback-to", "-1"]]
)
def test_wrong_usage_is_code_2_and_stdout_stays_empty(words, capsys):
    assert run(words) == ExitCode.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Error:" in captured.err


@pytest.mark.parametrize(
    "words", [["lag"], ["topics", "plan"], ["migrate"], ["tables"], ["relay"], ["worker", "push"], ["up"]]
)
def test_what_is_not_configured_is_code_3_with_the_settings_name(words, capsys):
    assert run(words) == ExitCode.CONFIGURATION == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "is not set" in captured.err


def test_a_wrong_setting_is_code_3_with_its_sentence(capsys):
    assert run(["config", "show", "--set", "web_push_enabled=maybe"]) == 3
    assert capsys.readouterr().err == "--set web_push_enabled is 'maybe', expected 0, 1, true or false.\n"


def test_global_options_work_in_front_of_and_behind_the_verb(capsys):
    for words in (["-o", "json", "config", "show", "env"], ["config", "show", "env", "-o", "json"]):
        assert run([*words, "--set", "env=staging"]) == 0
        assert json.loads(capsys.readouterr().out) == [{"key": "env", "value": "staging", "source": "flag"}]


def test_config_show_lists_every_setting_with_its_source(capsys, monkeypatch):
    monkeypatch.setenv("VAPID_PRIVATE_KEY", "c4n4ry-s3cret")
    assert run(["config", "show", "-o", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["key"] for row in rows] == names()
    (row,) = [row for row in rows if row["key"] == "vapid_private_key"]
    assert row == {"key": "vapid_private_key", "value": "********", "source": "environment VAPID_PRIVATE_KEY"}


def test_config_show_of_a_setting_that_does_not_exist_is_code_4(capsys):
    assert run(["config", "show", "nope"]) == ExitCode.NOT_FOUND == 4
    assert "there is no setting nope" in capsys.readouterr().err


def test_doctor_without_infrastructure_says_what_is_not_configured(capsys):
    assert run(["doctor", "-o", "json"]) == ExitCode.OK
    captured = capsys.readouterr()
    levels = {row["check"]: row["level"] for row in json.loads(captured.out)}
    assert levels["python"] == "ok"
    assert levels["database"] == levels["broker"] == levels["registry"] == "not_configured"
    assert "./bongsu demo" in captured.err


def test_doctor_tells_wrong_settings_and_is_code_8(capsys):
    assert run(["doctor", "-o", "json", "--set", "metrics_port=x"]) == ExitCode.DEGRADED == 8
    rows = json.loads(capsys.readouterr().out)
    (row,) = [row for row in rows if row["check"] == "settings"]
    assert row["level"] == "degraded"
    assert "metrics_port" in row["cause"]
    assert row["fix"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OperatorError("x"), 1),
        (NotFound("x"), 4),
        (Conflict("x"), 6),
        (DependencyUnavailable("x"), 7),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (BrokenPipeError(), 0),
    ],
)
def test_failures_become_exit_codes(error, code, monkeypatch, capfd):
    def fail(*_arguments, **_keywords):
        raise error

    monkeypatch.setattr(root, "main", fail)
    monkeypatch.setattr("os.dup2", lambda *_: None)
    assert run(["lag"]) == code


def test_a_sentence_about_a_failure_hides_passwords(monkeypatch, capsys):
    def fail(*_arguments, **_keywords):
        raise DependencyUnavailable("postgresql://u:hunter22@db does not answer")

    monkeypatch.setattr(root, "main", fail)
    run(["lag"])
    assert "hunter22" not in capsys.readouterr().err


def test_an_unknown_exception_keeps_its_trace(monkeypatch):
    def fail(*_arguments, **_keywords):
        raise ZeroDivisionError

    monkeypatch.setattr(root, "main", fail)
    with pytest.raises(ZeroDivisionError):
        run(["lag"])


def test_the_exit_codes_are_the_documented_ones():
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0, "FAILED": 1, "USAGE": 2, "CONFIGURATION": 3, "NOT_FOUND": 4, "CONFLICT": 6, "UNAVAILABLE": 7,
        "DEGRADED": 8, "INTERRUPTED": 130,
    }  # fmt: skip
    assert all(code.meaning for code in ExitCode)


HEAVY = "{'faust', 'aiokafka', 'confluent_kafka', 'aiohttp', 'psycopg', 'rich'}"


@pytest.mark.parametrize("words", [["--help"], ["config", "show"], ["lag", "--help"]])
def test_quick_verbs_import_nothing_heavy(words):
    program = (
        f"import sys; from ops.cli.root import run; code = run({words!r}); "
        f"print(sorted({HEAVY} & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    from ops.version import PROJECT_ROOT

    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PROJECT_ROOT
    )
    assert ended.stderr == "[]\n"
