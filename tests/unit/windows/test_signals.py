import pytest

from schemas.errors import Reason, SchemaError
from streams.windows.signals import Series, Signal, Sum

OUTCOMES = Signal(
    "push",
    "push_message_logs",
    "id",
    (),
    (
        Sum("attempted", 1, {"status": frozenset(("DELIVERED", "FAILED"))}),
        Sum("delivered", 1, {"status": frozenset(("DELIVERED",))}),
    ),
)
DISPATCH = Signal("dispatch", "dispatch_attempts", "id", ("dispatch_target",), (Sum("failed", "failed", {}),))


@pytest.mark.parametrize(("status", "amounts"), [("DELIVERED", (1, 1)), ("FAILED", (1, 0)), ("READY", (0, 0))])
def test_a_row_adds_a_constant_where_it_has_the_values(status, amounts):
    assert OUTCOMES.amounts_of({"id": 1, "status": status}) == amounts
    assert OUTCOMES.series_of({"id": 1, "status": status}) == Series("push")


def test_a_row_adds_a_column_to_its_group():
    row = {"id": 7, "dispatch_target": "POSTHOG", "failed": 3}
    assert DISPATCH.series_of(row) == Series("dispatch", ("POSTHOG",))
    assert DISPATCH.amounts_of(row) == (3,)
    assert DISPATCH.key_of(row) == "7"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"id": 7, "dispatch_target": "POSTHOG"}, Reason.MISSING_FIELD),
        ({"id": 7, "dispatch_target": "POSTHOG", "failed": "3"}, Reason.INVALID_FIELD),
        ({"id": 7, "dispatch_target": "POSTHOG", "failed": True}, Reason.INVALID_FIELD),
        ({"id": 7, "dispatch_target": "POSTHOG", "failed": -1}, Reason.INVALID_FIELD),
    ],
)
def test_a_row_that_cannot_be_counted_says_which_column(row, reason):
    with pytest.raises(SchemaError, match="failed") as refused:
        DISPATCH.amounts_of(row)
    assert refused.value.reason is reason


def test_a_row_without_group_or_key_is_refused():
    with pytest.raises(SchemaError, match="dispatch_target"):
        DISPATCH.series_of({"id": 7, "dispatch_target": None})
    with pytest.raises(SchemaError, match="id"):
        DISPATCH.key_of({})
