"""The field standard of runbook 004 L321-333, in both forms, from structlog and from any library."""

import io
import json
import logging

import pytest
import structlog

from ops.child_lines import prefix, readable
from ops.logs import STANDARD_FIELDS, LogContext, configure, console_line, renders_console, severity_of

CANARY = "c4n4ry-s3cret-value"


@pytest.fixture
def log_lines():
    """Configure for JSON into a buffer; returns a function that gives the records written since."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    buffer = io.StringIO()

    def start(role="push", log_level="info"):
        context = LogContext("production", "2.1.0", role, secrets=(CANARY,))
        configure(context, log_format="json", log_level=log_level, stream=buffer)

        def lines():
            found = [json.loads(line) for line in buffer.getvalue().splitlines()]
            buffer.seek(0)
            buffer.truncate()
            return found

        return lines

    yield start
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def test_every_record_has_the_runbooks_fields(log_lines):
    lines = log_lines()
    structlog.get_logger("sinks.webpush").info("push.delivered", request_id="req_1", trace_id="trace_1")
    (record,) = lines()
    assert set(STANDARD_FIELDS) <= set(record)
    assert record["env"] == "production"
    assert record["release"] == "2.1.0"
    assert record["event"] == "push.delivered"
    assert record["severity"] == "info"
    assert record["domain"] == "push"
    assert record["request_id"] == "req_1"
    assert record["session_id"] is None
    assert record["time"].endswith("Z")


def test_people_and_entities_are_masked(log_lines):
    lines = log_lines()
    structlog.get_logger().info(
        "push.refused",
        actor_id="user_abcdef99",
        entity_id="order_123456",
        member_id=8_812_345,
        endpoint="https://fcm.googleapis.com/fcm/send/capability",
    )
    (record,) = lines()
    assert record["actor_id"] == "user_abc..."
    assert record["entity_id"] == "order_123..."
    assert record["member_id"] == "881..."
    assert "capability" not in record["endpoint"]


def test_a_runbooks_sentence_becomes_the_message(log_lines):
    lines = log_lines("posthog")
    structlog.get_logger("streams.roles").warning("사용자 이벤트 dispatch에 실패했습니다", target="POSTHOG")
    (record,) = lines()
    assert record["message"] == "사용자 이벤트 dispatch에 실패했습니다"
    assert record["event"] == "streams.roles"
    assert record["severity"] == "warn"
    assert record["domain"] == "analytics"
    assert record["target"] == "POSTHOG"


@pytest.mark.parametrize("name", ["faust.worker", "aiokafka.consumer", "mode.worker", "some.library"])
def test_libraries_take_the_same_way(log_lines, name):
    lines = log_lines()
    logging.getLogger(name).error("it broke: %s", "why", extra={"partition": 3})
    (record,) = lines()
    assert (record["event"], record["message"], record["severity"]) == (name, "it broke: why", "error")
    assert record["partition"] == 3
    assert set(STANDARD_FIELDS) <= set(record)


def test_chatter_of_libraries_is_left_out_unless_debug_is_asked_for(log_lines):
    lines = log_lines()
    logging.getLogger("aiokafka.consumer").info("fetching")
    structlog.get_logger("ops").debug("ops.detail")
    assert lines() == []
    lines = log_lines(log_level="debug")
    logging.getLogger("aiokafka.consumer").info("fetching")
    structlog.get_logger("ops").debug("ops.detail")
    assert [record["severity"] for record in lines()] == ["info", "debug"]


def test_bound_context_is_in_every_record(log_lines):
    lines = log_lines()
    with structlog.contextvars.bound_contextvars(trace_id="trace_9"):
        structlog.get_logger().info("a.b")
        logging.getLogger("x").warning("text")
    assert [record["trace_id"] for record in lines()] == ["trace_9", "trace_9"]


def test_no_secret_is_written_wherever_it_stands(log_lines):
    lines = log_lines()
    log = structlog.get_logger()
    log.info("a.b", note=f"key is {CANARY}", nested={"list": [CANARY]}, password="other")
    logging.getLogger("psycopg").error("connection postgresql://u:hunter22@db failed, %s", CANARY)
    try:
        int(f"bad key {CANARY} for postgresql://u:hunter22@db/app")
    except ValueError:
        log.exception("a.failed")
    text = json.dumps(lines())
    assert CANARY not in text
    assert "hunter22" not in text
    assert "other" not in text
    assert "ValueError" in text


def test_values_that_json_does_not_know_do_not_break_the_log(log_lines):
    lines = log_lines()
    structlog.get_logger().info("a.b", where=object, what={1: {2}}, raw=b"\xff")
    assert len(lines()) == 1


@pytest.mark.parametrize(
    ("level", "severity"),
    [("warning", "warn"), ("WARNING", "warn"), ("critical", "error"), ("exception", "error"), ("info", "info")],
)
def test_severities_are_the_runbooks(level, severity):
    assert severity_of(level) == severity


def test_the_form_follows_the_terminal_only_when_asked_to():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    assert renders_console("auto", Terminal())
    assert not renders_console("auto", io.StringIO())
    assert renders_console("console", io.StringIO())
    assert not renders_console("json", Terminal())


RECORD = {
    "time": "2026-02-20T03:04:05.123456Z",
    "severity": "warn",
    "event": "push.refused",
    "message": "text",
    "env": "production",
    "role": "push",
    "http_status": 403,
    "trace_id": None,
}


def test_the_readable_line():
    assert console_line(RECORD, colour=False) == "03:04:05 warn  push      push.refused: text  http_status=403"


def test_a_trace_stands_below_its_line():
    line = console_line({**RECORD, "exception": "Traceback\n  boom"}, colour=False)
    assert line.endswith("\nTraceback\n  boom")


def test_lines_of_children_are_made_readable_and_others_left_as_they_are():
    assert readable("push", json.dumps(RECORD), colour=False).startswith(
        "push     | 03:04:05 warn   push.refused: text"
    )
    assert readable("relay", "Segmentation fault", colour=False) == "relay    | Segmentation fault"
    assert readable("relay", "[1, 2]", colour=False) == "relay    | [1, 2]"


def test_a_process_keeps_its_colour():
    assert prefix("push", colour=True) == prefix("push", colour=True)
    assert "\x1b[" in prefix("push", colour=True)
    assert "\x1b" not in readable("push", json.dumps(RECORD), colour=False)
