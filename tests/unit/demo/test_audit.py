"""An auditor that cannot fail is worthless: each single corruption of a ledger must be noticed."""

from collections import Counter
from dataclasses import replace
from uuid import UUID

import pytest

from devstack.demo.audit import CHECKS, audit
from devstack.demo.ledger import (
    Accepted,
    Arrivals,
    Database,
    DeadLetterFact,
    DispatchFact,
    JobFact,
    Ledgers,
    NotifyRule,
    OutboxFact,
    PushLogFact,
    Receivers,
    Repeat,
    Setting,
    SpoiledRecord,
    SpoiledRow,
    StoredFact,
    Subscription,
    Via,
    Written,
    WrittenEvent,
)
from schemas.errors import Reason
from topics.registry import ACTIVITY_EVENTS

OUTBOX = "cdc.public.user_activity_source_outbox"


def eid(number):
    return UUID(int=number)


def sound():
    """A small run in which everything adds up: two members, one rule, one expired subscription."""
    written = Written(
        events=[
            WrittenEvent(eid(1), "group.joined", "member-1", 1, Via.OUTBOX, 0),
            WrittenEvent(eid(2), "page.viewed", "member-1", 1, Via.OUTBOX, 1),
            WrittenEvent(eid(3), "group.joined", "member-2", 2, Via.OUTBOX, 0),
            WrittenEvent(eid(4), "page.viewed", "visitor", None, Via.TOPIC, 0),
        ],
        spoiled_rows=[SpoiledRow(eid(5), Reason.NOT_JSON)],
        spoiled_records=[SpoiledRecord(ACTIVITY_EVENTS, 0, 7, Reason.NULL_VALUE)],
        repeats=[
            Repeat(eid(1), ACTIVITY_EVENTS, 1, 3, differs=False),
            Repeat(eid(4), ACTIVITY_EVENTS, 1, 4, differs=True),
        ],
    )
    database = Database(
        outbox=[OutboxFact(eid(n), "PUBLISHED", None) for n in (1, 2, 3)] + [OutboxFact(eid(5), "FAILED", "no")],
        stored=[
            StoredFact(10, eid(1), "member-1", OUTBOX),
            StoredFact(11, eid(3), "member-2", OUTBOX),
            StoredFact(12, eid(2), "member-1", OUTBOX),
            StoredFact(13, eid(4), "visitor", ACTIVITY_EVENTS),
        ],
        duplicate_rows=0,
        dispatch=[DispatchFact(eid(n), "POSTHOG", "DISPATCHED") for n in (1, 2, 3, 4)],
        jobs=[JobFact(1, eid(1), 1, 1, "DONE"), JobFact(2, eid(3), 1, 2, "DONE")],
        logs=[
            PushLogFact(1, 1, "DELIVERED", 201),
            PushLogFact(1, 2, "FAILED", 410),
            PushLogFact(2, 3, "DELIVERED", 201),
        ],
    )
    return Ledgers(
        setting=Setting(
            outbox_topic=OUTBOX,
            targets=("POSTHOG",),
            rules=[NotifyRule(1, "group.joined", 3)],
            subscriptions=[
                Subscription(1, 1, "https://receiver/1", expires=False),
                Subscription(2, 1, "https://receiver/2", expires=True),
                Subscription(3, 2, "https://receiver/3", expires=False),
            ],
        ),
        written=written,
        arrivals=Arrivals(Counter({eid(1): 2, eid(2): 1, eid(3): 1, eid(4): 2}), counted_duplicates=1),
        database=database,
        dead_letters=[
            DeadLetterFact(OUTBOX, 0, 4, str(eid(5)), Reason.NOT_JSON),
            DeadLetterFact(ACTIVITY_EVENTS, 0, 7, None, Reason.NULL_VALUE),
            DeadLetterFact(ACTIVITY_EVENTS, 1, 4, str(eid(4)), Reason.CONFLICT),
        ],
        receivers=Receivers(
            accepted=[Accepted("https://receiver/1", eid(1), 3), Accepted("https://receiver/3", eid(3), 3)],
            posthog={eid(n): 1 for n in (1, 2, 3, 4)},
        ),
    )


def test_a_sound_run_passes():
    assert audit(sound()) == []


def db(**changed):
    return lambda run: replace(run, database=replace(run.database, **changed))


def change(field, index, **changed):
    """The database with one row of `field` changed."""

    def corrupt(run):
        rows = list(getattr(run.database, field))
        rows[index] = replace(rows[index], **changed)
        return replace(run, database=replace(run.database, **{field: rows}))

    return corrupt


def without(field, index):
    def corrupt(run):
        rows = list(getattr(run.database, field))
        del rows[index]
        return replace(run, database=replace(run.database, **{field: rows}))

    return corrupt


def twice(field, index):
    def corrupt(run):
        rows = list(getattr(run.database, field))
        return replace(run, database=replace(run.database, **{field: [*rows, rows[index]]}))

    return corrupt


def letters(*edit):
    return lambda run: replace(run, dead_letters=[make(run.dead_letters) for make in edit])


def received(**changed):
    return lambda run: replace(run, receivers=replace(run.receivers, **changed))


def arrived(**changed):
    return lambda run: replace(run, arrivals=replace(run.arrivals, **changed))


STRAY = DeadLetterFact(OUTBOX, 2, 2, str(eid(1)), Reason.POISON)

CORRUPTIONS = {
    "an outbox row vanished": (without("outbox", 0), "outbox"),
    "a row that nobody wrote": (
        lambda run: db(outbox=[*run.database.outbox, OutboxFact(eid(99), "PUBLISHED", None)])(run),
        "outbox",
    ),
    "a row left pending": (change("outbox", 0, status="PENDING"), "outbox_status"),
    "a good row marked failed": (change("outbox", 0, status="FAILED", last_error="x"), "outbox_status"),
    "a bad row marked published": (change("outbox", 3, status="PUBLISHED"), "outbox_status"),
    "a failure without its error": (change("outbox", 3, last_error=None), "outbox_status"),
    "an event lost": (without("stored", 0), "stored"),
    "an event stored twice": (twice("stored", 0), "stored"),
    "a spoiled event stored": (change("stored", 0, event_id=eid(5)), "stored"),
    "the duplicate query finds something": (db(duplicate_rows=1), "duplicate_rows"),
    "a key changed on the way": (change("stored", 0, partition_key="member-9"), "partition_key"),
    "two events of a key swapped": (change("stored", 2, row_id=9), "order"),
    "a copy missing on the topics": (
        arrived(by_event={eid(1): 1, eid(2): 1, eid(3): 1, eid(4): 2}),
        "duplicates",
    ),
    "a copy too many on the topics": (
        arrived(by_event={eid(1): 3, eid(2): 1, eid(3): 1, eid(4): 2}),
        "duplicates",
    ),
    "a duplicate not counted": (arrived(counted_duplicates=0), "duplicates"),
    "a duplicate counted that was none": (arrived(counted_duplicates=2), "duplicates"),
    "a dead letter missing": (lambda run: replace(run, dead_letters=run.dead_letters[1:]), "dead_letters"),
    "a conflict without a dead letter": (
        lambda run: replace(run, dead_letters=run.dead_letters[:2]),
        "dead_letters",
    ),
    "a dead letter of a good event": (
        lambda run: replace(run, dead_letters=[*run.dead_letters, STRAY]),
        "dead_letters",
    ),
    "a dead letter twice": (
        lambda run: replace(run, dead_letters=[*run.dead_letters, run.dead_letters[0]]),
        "dead_letters",
    ),
    "the wrong reason": (
        letters(lambda all_: replace(all_[0], reason=Reason.TOO_DEEP), lambda all_: all_[1], lambda all_: all_[2]),
        "dead_letters",
    ),
    "no dispatch row": (without("dispatch", 1), "dispatch"),
    "two dispatch rows": (twice("dispatch", 1), "dispatch"),
    "a dispatch row pending": (change("dispatch", 1, status="PENDING"), "dispatch"),
    "a dispatch row failed": (change("dispatch", 1, status="FAILED"), "dispatch"),
    "PostHog missed an event": (received(posthog={eid(n): 1 for n in (1, 2, 3)}), "posthog"),
    "PostHog got an event twice": (received(posthog={eid(n): 1 + (n == 1) for n in (1, 2, 3, 4)}), "posthog"),
    "PostHog got a stranger": (
        received(posthog={eid(n): 1 for n in (1, 2, 3, 4, 5)}),
        "posthog",
    ),
    "a job missing": (without("jobs", 1), "jobs"),
    "a job twice": (twice("jobs", 1), "jobs"),
    "a job by another rule": (change("jobs", 1, rule_id=2), "jobs"),
    "a job for another member": (change("jobs", 1, member_id=1), "jobs"),
    "a job left locked": (change("jobs", 1, status="LOCKED"), "jobs"),
    "no outcome for a subscription": (without("logs", 0), "push_logs"),
    "two outcomes for a subscription": (twice("logs", 0), "push_logs"),
    "an outcome for a stranger's subscription": (change("logs", 0, subscription_id=3), "push_logs"),
    "a delivery to an expired subscription": (change("logs", 1, status="DELIVERED"), "push_outcomes"),
    "a live subscription called gone": (change("logs", 0, status="FAILED", http_status=410), "push_outcomes"),
    "a failure that nothing explains": (change("logs", 0, status="FAILED", http_status=500), "push_outcomes"),
    "a log without an outcome": (change("logs", 0, status="SENDING"), "push_outcomes"),
    "a delivery that the receiver never saw": (
        received(accepted=[Accepted("https://receiver/1", eid(1), 3)]),
        "delivered",
    ),
    "a message sent twice": (
        lambda run: received(accepted=[*run.receivers.accepted, run.receivers.accepted[0]])(run),
        "delivered",
    ),
    "a message for another job": (
        received(accepted=[Accepted("https://receiver/1", eid(3), 3), Accepted("https://receiver/3", eid(3), 3)]),
        "delivered",
    ),
    "a job done without a delivery": (change("logs", 2, status="FAILED", http_status=500), "job_status"),
    "a message by another template": (
        received(accepted=[Accepted("https://receiver/1", eid(1), 2), Accepted("https://receiver/3", eid(3), 3)]),
        "delivered",
    ),
    "a job cancelled that has somebody to notify": (
        lambda run: without("logs", 2)(change("jobs", 1, status="CANCELLED")(run)),
        "job_status",
    ),
    "a job failed though all was delivered": (change("jobs", 1, status="FAILED"), "job_status"),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_single_corruption_is_noticed(name):
    corrupt, check = CORRUPTIONS[name]
    found = audit(corrupt(sound()))
    assert check in {discrepancy.check for discrepancy in found}


def test_every_check_is_shown_to_fail():
    assert {check for _, check in CORRUPTIONS.values()} == set(CHECKS)


def disturbed(run):
    return replace(run, setting=replace(run.setting, disturbed=True))


REDELIVERED = {
    "a copy too many on the topics": arrived(
        by_event={eid(1): 5, eid(2): 2, eid(3): 1, eid(4): 2}, counted_duplicates=None
    ),
    "a dead letter twice": CORRUPTIONS["a dead letter twice"][0],
    "PostHog got an event twice": CORRUPTIONS["PostHog got an event twice"][0],
    "a message sent twice": CORRUPTIONS["a message sent twice"][0],
}


@pytest.mark.parametrize("name", REDELIVERED)
def test_redelivery_is_excused_after_a_kill(name):
    assert audit(REDELIVERED[name](disturbed(sound()))) == []


@pytest.mark.parametrize(
    "name", sorted(CORRUPTIONS.keys() - REDELIVERED.keys() - {"a duplicate counted that was none"})
)
def test_nothing_else_is_excused_after_a_kill(name):
    corrupt, check = CORRUPTIONS[name]
    assert check in {discrepancy.check for discrepancy in audit(corrupt(disturbed(sound())))}


def test_a_broken_receiver_excuses_failures_and_only_those():
    broken = replace(sound(), setting=replace(sound().setting, push_broken=True))
    failed = change("logs", 2, status="FAILED", http_status=500)(change("jobs", 1, status="FAILED")(broken))
    assert audit(replace(failed, receivers=replace(failed.receivers, accepted=failed.receivers.accepted[:1]))) == []
    assert audit(change("logs", 2, status="FAILED", http_status=410)(broken)) != []


def test_a_discrepancy_says_what_where_and_how_often():
    (found,) = audit(db(duplicate_rows=3)(sound()))
    assert str(found) == "duplicate_rows: the duplicate query of 001 L154 returns 3 rows"
