"""The plan is a function of its seed, spoils what it says it spoils, and keeps each key with one writer."""

from collections import defaultdict
from datetime import UTC, datetime

import pytest

from devstack.demo.plan import (
    NAMES,
    NOTIFYING,
    SPOILED_ROWS,
    WRITERS,
    Send,
    SendKind,
    Transaction,
    members_for,
    plan,
    population,
)
from schemas.activity import event_from_outbox_row
from schemas.errors import SchemaError
from schemas.event_names import allow_list
from tests.unit.demo.rows import as_row

BASE = datetime(2026, 11, 21, tzinfo=UTC)


def steps(seed=7, rows=3_000):
    return list(plan(seed, population(members_for(rows), seed), BASE, rows))


def rows_of(planned):
    return [draft for step in planned if isinstance(step, Transaction) for draft in step.drafts]


def test_same_seed_same_plan_other_seed_other_plan():
    assert steps(7, 500) == steps(7, 500)
    assert steps(7, 500) != steps(8, 500)


@pytest.mark.parametrize("rows", [1, 10, 999, 3_000])
def test_exactly_so_many_rows(rows):
    assert len(rows_of(steps(3, rows))) == rows


def test_event_ids_are_distinct_among_what_is_new():
    planned = steps()
    ids = [draft.event_id for draft in rows_of(planned)]
    ids += [step.draft.event_id for step in planned if isinstance(step, Send) and step.kind is SendKind.NEW]
    assert len(ids) == len(set(ids))


def test_each_key_has_one_writer():
    writers = defaultdict(set)
    for step in steps():
        if isinstance(step, Transaction):
            for draft in step.drafts:
                writers[draft.partition_key].add(step.writer)
    assert all(len(used) == 1 for used in writers.values())
    assert set().union(*writers.values()) == set(range(WRITERS))


def test_every_row_is_valid_or_refused_for_the_reason_it_says():
    allowed, reasons = allow_list(), set()
    for draft in rows_of(steps()):
        if draft.spoiled is None:
            assert event_from_outbox_row(as_row(draft), allowed).event_id == draft.event_id
            continue
        with pytest.raises(SchemaError) as refused:
            event_from_outbox_row(as_row(draft), allowed)
        assert refused.value.reason is draft.spoiled
        reasons.add(draft.spoiled)
    assert reasons == set(SPOILED_ROWS)


def test_repeats_name_events_planned_before_and_conflicts_differ():
    seen, kinds = {}, defaultdict(int)
    for step in steps():
        if isinstance(step, Transaction):
            seen.update({draft.event_id: draft for draft in step.drafts})
            continue
        kinds[step.kind] += 1
        if step.kind is SendKind.NEW:
            seen[step.draft.event_id] = step.draft
        elif step.kind is SendKind.REPEAT:
            assert seen[step.draft.event_id] == step.draft
            assert step.draft.spoiled is None
        elif step.kind is SendKind.CONFLICT:
            assert seen[step.draft.event_id].payload != step.draft.payload
    assert all(kinds[kind] > 0 for kind in SendKind)


def test_names_are_allowed_and_notifying_ones_are_a_tenth_to_a_fifth():
    assert set(NAMES) <= allow_list().names
    assert 10 <= sum(NAMES[name] for name in NOTIFYING) <= 20


def test_some_members_have_subscriptions_and_a_few_of_those_expire():
    subscriptions = [expired for member in population(500, 7) for expired in member.subscriptions]
    assert len(subscriptions) > 300
    assert 0 < sum(subscriptions) < len(subscriptions) * 0.08
