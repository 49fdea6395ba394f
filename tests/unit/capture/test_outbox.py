"""The producers' function: what is refused before the database is spoken to, and what is counted."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from capture.outbox import Duplicate, EnqueueMetrics, Inserted, Outbox, PayloadNotSerialisable, serialise
from schemas.runbook_messages import OUTBOX_SERIALISATION_FAILED

EVENT_ID = UUID("7432d06d-88f7-406f-bbea-890b03921dfc")


class Session:
    """Stands for a connection: remembers parameters, answers with the row it was given."""

    def __init__(self, row=(1,)):
        self.row = row
        self.parameters = []

    def execute(self, _query, parameters):
        self.parameters.append(parameters)
        return self

    def fetchone(self):
        return self.row


class AsyncSession(Session):
    async def execute(self, query, parameters):
        super().execute(query, parameters)
        return self

    async def fetchone(self):
        return self.row


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def outbox(registry):
    return Outbox(EnqueueMetrics(registry))


def counted(registry, result):
    return registry.get_sample_value("analytics_user_activity_outbox_enqueue_total", {"result": result})


def test_inserted(outbox, registry):
    session = Session()
    outcome = outbox.publish_activity(
        session,
        event_name="group.created",
        properties={"이름": "x"},
        partition_key="member:1",
        event_id=EVENT_ID,
        member_id=1,
    )
    assert outcome == Inserted(EVENT_ID)
    assert counted(registry, "inserted") == 1
    (parameters,) = session.parameters
    assert parameters["payload"] == '{"이름":"x"}'
    assert (parameters["member_id"], parameters["event_version"], parameters["occurred_at"]) == (1, 1, None)


def test_duplicate(outbox, registry):
    outcome = outbox.publish_activity(
        Session(None), event_name="a.b", properties={}, partition_key="k", event_id=EVENT_ID
    )
    assert outcome == Duplicate(EVENT_ID)
    assert counted(registry, "duplicate") == 1


async def test_the_same_on_an_asynchronous_session(outbox, registry):
    outcome = await outbox.publish_activity_async(
        AsyncSession(), event_name="a.b", properties={}, partition_key="k", event_id=EVENT_ID
    )
    assert outcome == Inserted(EVENT_ID)


def test_event_ids_are_made_when_none_is_given(outbox):
    outcomes = {
        outbox.publish_activity(Session(), event_name="a.b", properties={}, partition_key="k").event_id
        for _ in range(3)
    }
    assert len(outcomes) == 3


@pytest.mark.parametrize(
    "properties",
    [
        {"at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"x": float("nan")},
        {"x": [float("inf")]},
        {"x": "a\0b"},
        {"x": "\ud800"},
        {1: "x"},
        {"a": {None: 1}},
        ["not", "an", "object"],
        {"x": {1, 2}},
    ],
)
def test_what_json_does_not_have_is_refused_before_the_database(outbox, registry, properties):
    session = Session()
    with capture_logs() as logs, pytest.raises(PayloadNotSerialisable, match=r"a\.b"):
        outbox.publish_activity(session, event_name="a.b", properties=properties, partition_key="k")
    assert session.parameters == []
    assert counted(registry, "fail") == 1
    assert [entry["message"] for entry in logs] == [OUTBOX_SERIALISATION_FAILED]


def test_nesting_is_bounded():
    value: dict = {}
    for _ in range(63):
        value = {"x": value}
    assert json.loads(serialise(value)) == value
    with pytest.raises(ValueError, match="deeper"):
        serialise({"x": value})


def test_a_cycle_is_refused():
    value: dict = {}
    value["self"] = value
    with pytest.raises(ValueError, match="deeper"):
        serialise(value)


def test_wrong_arguments_are_the_callers(outbox):
    with pytest.raises(TypeError, match="memberId"):
        outbox.publish_activity(Session(), event_name="a.b", properties={}, partition_key="k", memberId=1)
    with pytest.raises(ValueError, match="partition_key"):
        outbox.publish_activity(Session(), event_name="a.b", properties={}, partition_key="")
    with pytest.raises(ValueError, match="zone"):
        outbox.publish_activity(
            Session(),
            event_name="a.b",
            properties={},
            partition_key="k",
            occurred_at=datetime.fromisoformat("2026-01-01"),
        )
