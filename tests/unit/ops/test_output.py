"""Tables that stay aligned with Korean text, JSON that stays JSON."""

import io
import json

import pytest

from ops.cli.output import Printer, cell, listing, table, width


def test_korean_letters_take_two_columns():
    assert width("연속 실패율") == 11
    assert width("e\u0301") == 1


def test_columns_line_up():
    rows = [{"name": "연속", "lag": 5}, {"name": "abcdef", "lag": 1200}]
    assert table(rows, ("name", "lag")).splitlines() == ["NAME     LAG", "연속       5", "abcdef  1200"]


def test_a_table_without_rows_is_its_heading():
    assert table([], ("lag_s", "topic")) == "LAG S  TOPIC"


def test_bold_headings_only_when_asked_for():
    assert "\x1b" not in table([{"a": 1}], ("a",))
    assert table([{"a": 1}], ("a",), bold=True).startswith("\x1b[1mA\x1b[0m")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "yes"),
        (False, "no"),
        (1.5, "1.5"),
        (2.0, "2"),
        (0.0004, "0"),
        ({"a": "한"}, '{"a": "한"}'),
        ("two\nlines\x1b[31m", "two lines [31m"),
    ],
)
def test_cells(value, text):
    assert cell(value) == text


def test_a_record_is_listed_key_by_key():
    assert listing({"topic": "alerts", "lag": None}) == "topic: alerts\nlag:"


ROWS = [{"a": 1, "b": "한글"}, {"a": 2, "b": None}]


def test_json_is_one_document_with_every_field():
    out = io.StringIO()
    Printer("json", out=out).rows(iter(ROWS), ("a",))
    assert json.loads(out.getvalue()) == ROWS
    assert "한글" in out.getvalue()


def test_json_lines_are_one_object_each():
    out = io.StringIO()
    Printer("jsonl", out=out).rows(iter(ROWS), ("a",))
    assert [json.loads(line) for line in out.getvalue().splitlines()] == ROWS


def test_one_record_in_each_form():
    texts = {}
    for form in ("table", "json", "jsonl"):
        out = io.StringIO()
        Printer(form, out=out).one({"a": 1})
        texts[form] = out.getvalue()
    assert texts == {"table": "a: 1\n", "json": '{\n  "a": 1\n}\n', "jsonl": '{"a": 1}\n'}
