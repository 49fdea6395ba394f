"""The pure parts of the PostgreSQL stores: error classes, fates, texts, statements."""

from importlib import resources
from types import SimpleNamespace

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.postgres.error_classes import ErrorClass, error_class
from sinks.postgres.fates import StoredBody, first_occurrences, judge
from sinks.postgres.session import error_sentence, store_error
from sinks.postgres.statements import statement
from sinks.postgres.text import storable
from sinks.store_errors import StoreRefused, StoreUnavailable
from sinks.store_values import Fate
from tests.unit.roles.role_records import SOURCE, event_row


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        ("08006", ErrorClass.UNAVAILABLE),
        ("40001", ErrorClass.UNAVAILABLE),
        ("40P01", ErrorClass.UNAVAILABLE),
        ("53100", ErrorClass.UNAVAILABLE),
        ("53300", ErrorClass.UNAVAILABLE),
        ("55P03", ErrorClass.UNAVAILABLE),
        ("57014", ErrorClass.UNAVAILABLE),
        ("57P01", ErrorClass.UNAVAILABLE),
        ("25006", ErrorClass.UNAVAILABLE),
        ("58030", ErrorClass.UNAVAILABLE),
        ("22P05", ErrorClass.REFUSED),
        ("22003", ErrorClass.REFUSED),
        ("23502", ErrorClass.REFUSED),
        ("23514", ErrorClass.REFUSED),
        ("54000", ErrorClass.REFUSED),
        ("42P01", ErrorClass.DEFECT),
        ("42501", ErrorClass.DEFECT),
        ("28P01", ErrorClass.DEFECT),
        ("25P02", ErrorClass.DEFECT),
        ("XX000", ErrorClass.DEFECT),
        ("P0001", ErrorClass.DEFECT),
    ],
)
def test_error_classes(sqlstate, expected):
    assert error_class(sqlstate) is expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (psycopg.OperationalError("the connection is lost"), StoreUnavailable),
        (psycopg.InterfaceError("the cursor is closed"), StoreUnavailable),
        (psycopg.DataError("NUL in text"), StoreRefused),
        (psycopg.errors.DeadlockDetected(), StoreUnavailable),
        (psycopg.errors.UntranslatableCharacter(), StoreRefused),
        (psycopg.ProgrammingError("cannot adapt"), type(None)),
        (psycopg.errors.UndefinedTable(), type(None)),
    ],
)
def test_driver_errors(error, expected):
    assert isinstance(store_error(error), expected)


def test_an_error_is_told_without_the_row_it_is_about():
    """psycopg's text of a server error has the DETAIL in it; what may be logged has not."""

    class NotNull(psycopg.errors.NotNullViolation):
        @property
        def diag(self):
            return SimpleNamespace(message_primary="null value in column")

    error = NotNull("null value in column\nDETAIL:  Failing row contains (kim-minji@example.com).")
    assert error_sentence(error) == "null value in column"
    assert store_error(error).detail == "null value in column"


def test_fates_of_a_batch():
    known = event_row(0)
    rows = [
        event_row(10),
        event_row(11, known.event.event_id),
        event_row(12, known.event.event_id, payload='{"groupId":8}'),
        event_row(13),
    ]
    rows += [event_row(14, rows[0].event.event_id), event_row(15, rows[0].event.event_id, payload="{}")]
    stored = {known.event.event_id: StoredBody(known.event.body_hash, SOURCE, 0, 0)}
    assert judge(rows, {10, 13}, stored) == (
        Fate.INSERTED,
        Fate.DUPLICATE,
        Fate.CONFLICT,
        Fate.INSERTED,
        Fate.DUPLICATE,
        Fate.CONFLICT,
    )
    assert [row.offset for row in first_occurrences(rows).values()] == [10, 11, 13]


def test_the_same_record_again_is_redelivered_and_the_same_offset_elsewhere_is_not():
    row = event_row(5)
    body = StoredBody(row.event.body_hash, SOURCE, 0, 5)
    assert judge([row], set(), {row.event.event_id: body}) == (Fate.REDELIVERED,)
    elsewhere = StoredBody(row.event.body_hash, SOURCE, 1, 5)
    assert judge([row], set(), {row.event.event_id: elsewhere}) == (Fate.DUPLICATE,)


def test_an_event_neither_inserted_nor_stored_is_an_error():
    with pytest.raises(KeyError):
        judge([event_row(5)], set(), {})


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_becomes_storable(text):
    kept = storable(text, 50)
    assert "\x00" not in kept
    assert len(kept.encode("utf-8")) >= len(kept)
    assert len(kept) <= 50


def test_plain_text_is_kept():
    assert storable("연결 실패: HTTP 503") == "연결 실패: HTTP 503"
    assert storable("a\x00b\ud800") == "a\\x00b\\ud800"


def test_the_target_column_is_one_of_two():
    assert '"sink_type"' in statement("claim_dispatch", target_column="sink_type").as_string()
    assert "dispatch_target" not in statement("enqueue_dispatch", target_column="sink_type").as_string()
    with pytest.raises(ValueError, match="target column"):
        statement("claim_dispatch", target_column="status; DROP TABLE notify_jobs")


def test_every_statement_loads_and_begins_with_a_sentence():
    files = [entry for entry in resources.files("sinks.postgres").iterdir() if entry.name.endswith(".sql")]
    assert len(files) > 20
    for entry in files:
        first = entry.read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith("-- "), entry.name
        assert first.endswith("."), entry.name
        assert statement(entry.name.removesuffix(".sql")).as_string()
