"""An event's whole way, every bad input, and a broken receiver: the same on embedded and on real parts."""

import pytest

from devstack.demo.plan import SPOILED_RECORDS, spoil_record
from schemas.errors import Reason
from tests.e2e.conftest import eventually
from tests.e2e.producing import BAD_PAYLOADS, Application, draft
from topics.registry import cdc_topic

OUTBOX = cdc_topic("user_activity_source_outbox")


@pytest.fixture(scope="module")
def application(demo):
    return Application(demo)


def goes_on(application):
    """A good event still gets through."""
    event_id = application.insert("page.viewed", "{}")
    eventually(lambda: application.stored(event_id), 20, "a good event is stored after the bad input")


def test_a_row_is_stored_marked_pushed_and_sent_to_posthog(application, demo):
    member_id = application.member_with_live_subscription()
    event_id = application.insert(member_id=member_id)
    eventually(lambda: application.stored(event_id) == "group.joined", 20, "the event is stored")
    eventually(lambda: application.outbox(event_id) == ("PUBLISHED", None), 20, "the row is PUBLISHED")
    eventually(lambda: event_id in demo.receivers.posthog_uuids(), 20, "PostHog has the event")
    pushed = eventually(
        lambda: [one for one in demo.receivers.accepted() if one.event_id == event_id], 20, "a push was decrypted"
    )
    endpoints = {one.endpoint for one in demo.subscriptions if one.member_id == member_id and not one.expires}
    assert {one.endpoint for one in pushed} == endpoints
    eventually(
        lambda: application.query("SELECT status FROM notify_jobs WHERE event_id = %s", event_id) == [("DONE",)],
        20,
        "the job is DONE",
    )
    dispatched = application.query("SELECT status FROM user_activity_dispatch_outbox WHERE event_id = %s", event_id)
    assert dispatched == [("DISPATCHED",)]


@pytest.mark.parametrize("kind", BAD_PAYLOADS)
def test_a_bad_row_becomes_a_failed_row_and_a_dead_letter(application, kind):
    event_name, payload, reason = BAD_PAYLOADS[kind]
    event_id = application.insert(event_name, payload)
    eventually(
        lambda: str(event_id) in {letter.source_identity for letter in application.letters(reason)},
        20,
        f"a dead letter {reason} names {event_id}",
    )
    eventually(lambda: (application.outbox(event_id) or ("",))[0] == "FAILED", 20, "the row is FAILED")
    assert application.outbox(event_id)[1], "last_error says why"
    assert application.stored(event_id) is None
    goes_on(application)


@pytest.mark.parametrize("reason", SPOILED_RECORDS)
def test_a_bad_record_becomes_a_dead_letter_at_its_place(application, reason):
    place = application.send_event(spoil_record(draft(), reason))
    eventually(
        lambda: place in {(one.topic, one.partition, one.offset) for one in application.letters(reason)},
        20,
        f"a dead letter {reason} of {place}",
    )
    goes_on(application)


def test_an_event_id_that_comes_twice_is_stored_once(application):
    event = draft()
    application.send_event(event)
    eventually(lambda: application.stored(event.event_id), 20, "the first is stored")
    application.send_event(event)
    place = application.send_event(draft(event_id=event.event_id, payload='{"other": true}'))
    eventually(
        lambda: place in {(one.topic, one.partition, one.offset) for one in application.letters(Reason.CONFLICT)},
        20,
        "the other body is a dead letter",
    )
    rows = application.query("SELECT properties FROM user_activity_event WHERE event_id = %s", event.event_id)
    assert rows == [({"name": "가람", "groupId": 7},)]
    assert len([one for one in application.letters(Reason.CONFLICT) if one.source_identity == str(event.event_id)]) == 1
    goes_on(application)


def test_deletes_tombstones_and_noise_on_a_change_topic_stop_nothing(application):
    application.send(None, topic=OUTBOX)
    application.send(
        b'{"before":{"id":1},"after":null,"source":{"schema":"public","table":"user_activity_source_outbox",'
        b'"lsn":1,"txId":1,"sequence":"[\\"1\\",\\"1\\"]","ts_ms":1},"op":"d","ts_ms":1}',
        topic=OUTBOX,
    )
    place = application.send(b"\xff\xfenoise", topic=OUTBOX)
    eventually(
        lambda: place in {(one.topic, one.partition, one.offset) for one in application.demo.witness.dead_letters()},
        20,
        "noise is a dead letter",
    )
    goes_on(application)


def test_a_row_that_is_gone_before_it_is_marked_stops_nothing(application):
    with_mark = application.insert("page.viewed", "{}")
    eventually(lambda: application.stored(with_mark), 20, "stored")
    gone = [application.insert("page.viewed", "{}") for _ in range(20)]
    application.query("DELETE FROM user_activity_source_outbox WHERE event_id = ANY(%s)", gone)
    for event_id in gone:
        eventually(lambda event_id=event_id: application.stored(event_id), 20, "the event is stored all the same")
    last = application.insert("page.viewed", "{}")
    eventually(lambda: application.outbox(last) == ("PUBLISHED", None), 60, "a later row is marked")


def alerts(demo, rule):
    return [alert for alert in demo.witness.alert_log() if alert.rule == rule]


def test_a_broken_receiver_lights_a_fire_that_goes_out_when_it_is_healed(application, demo):
    member_id = application.member_with_live_subscription()

    def notify_until(done):
        def step():
            application.insert(member_id=member_id)
            return done()

        return step

    eventually(notify_until(lambda: len(demo.receivers.accepted()) > 40), 60, "pushes are delivered before the break")
    demo.faults.carry_out("break", "push")
    firing = eventually(
        notify_until(lambda: [one for one in alerts(demo, "push_delivered_ratio") if one.severity == "critical"]),
        60,
        "the alert is critical",
    )
    assert firing[0].status == "firing"
    demo.faults.carry_out("heal", "push")
    resolved = eventually(
        notify_until(lambda: [one for one in alerts(demo, "push_delivered_ratio") if one.status == "resolved"]),
        90,
        "the alert resolves",
    )
    assert resolved[0].id == firing[0].id, "one episode"
    assert resolved[0].starts_at_ms == firing[0].starts_at_ms
    assert len({one.generation for one in alerts(demo, "push_delivered_ratio")}) == len(
        alerts(demo, "push_delivered_ratio")
    )
