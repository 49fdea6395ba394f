"""Records for activity.events are read as the outbox row would be, or refused for the reason they were spoiled for."""

from datetime import UTC, datetime

import pytest

from devstack.demo.plan import SPOILED_RECORDS, SPOILED_ROWS, Transaction, plan, population, spoil_record, spoil_row
from devstack.demo.records import encode
from schemas.activity import event_from_avro, event_from_outbox_row
from schemas.avro import AvroCodec
from schemas.errors import Reason, SchemaError
from schemas.event_names import allow_list
from tests.unit.demo.rows import as_row

CODEC = AvroCodec({"activity-event": 1, "alert": 2, "dead-letter": 3})


@pytest.fixture(scope="module")
def draft():
    first = next(plan(1, population(40, 1), datetime(2026, 11, 21, tzinfo=UTC), None))
    assert isinstance(first, Transaction)
    return first.drafts[0]


def read(value):
    return event_from_avro(CODEC.decode("activity-event", value), allow_list())


def test_the_same_event_both_ways(draft):
    assert read(encode(CODEC, draft)) == event_from_outbox_row(as_row(draft), allow_list())


@pytest.mark.parametrize("reason", SPOILED_RECORDS)
def test_a_spoiled_record_is_refused_for_its_reason(draft, reason):
    with pytest.raises(SchemaError) as refused:
        read(encode(CODEC, spoil_record(draft, reason)))
    assert refused.value.reason is reason


def test_reasons_that_do_not_exist_for_a_way_are_errors(draft):
    with pytest.raises(ValueError, match="no record"):
        spoil_record(draft, Reason.CONFLICT)
    with pytest.raises(ValueError, match="no outbox row"):
        spoil_row(draft, Reason.NULL_VALUE)
    assert not set(SPOILED_ROWS) & {Reason.NULL_VALUE, Reason.CONFLICT}
