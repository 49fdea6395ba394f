"""What the sweeper finds, emits again, and notes."""

import json
import threading

import pytest

from capture.errors import DeliveryFailed
from tests.integration.capture.rig import OUTBOX, eventually

pytestmark = pytest.mark.integration

NEVER = threading.Event()


@pytest.fixture
def with_slot(rig):
    """The slot exists and is up to date, as beside a running relay (or Debezium)."""
    with rig.running():
        pass
    return rig


def age(rig, seconds=3_600):
    rig.execute(f"UPDATE {OUTBOX} SET created_at = created_at - make_interval(secs => %s)", seconds)


def advance_slot(rig):
    rig.execute("SELECT pg_replication_slot_advance(%s, pg_current_wal_lsn())", rig.settings.slot_name)


def test_old_pending_rows_come_again_in_key_order_and_are_scheduled(with_slot):
    rig = with_slot
    rig.insert(1, key="b")
    rig.insert(2, 3, key="a")
    rig.insert(4, key="a")
    rig.execute(f"UPDATE {OUTBOX} SET status = 'PUBLISHED' WHERE id = 4")
    rig.execute(f"UPDATE {OUTBOX} SET status = 'FAILED' WHERE id = 3")
    age(rig)
    advance_slot(rig)
    sweeper = rig.sweeper(sweep_after_s=300)
    assert sweeper.sweep(NEVER)[OUTBOX] == 2
    assert sorted(rig.numbers("r")) == [1, 2]
    rows = rig.execute(f"SELECT retry_count, next_retry_at > now() FROM {OUTBOX} ORDER BY id")
    assert rows == [(1, True), (1, True), (0, None), (0, None)]
    retried = rig.registry.get_sample_value("analytics_user_activity_outbox_retry_total", {"result": "scheduled"})
    assert retried == 2
    # Noted rows are left alone until they are due again.
    assert sweeper.sweep(NEVER)[OUTBOX] == 0


def test_young_rows_are_left_to_the_stream(with_slot):
    with_slot.insert(1)
    advance_slot(with_slot)
    assert with_slot.sweeper(sweep_after_s=300).sweep(NEVER)[OUTBOX] == 0


def test_it_keeps_out_of_the_way_of_a_stream_that_is_behind(with_slot):
    with_slot.insert(1)
    age(with_slot)
    assert with_slot.sweeper(sweep_after_s=300, backlog_bytes=0).sweep(NEVER) == {}


def test_a_swept_row_equals_the_streamed_one_but_for_its_position(rig):
    with rig.running():
        rig.insert(1, payload='{"이름": "\\u0001"}')
        eventually(lambda: rig.numbers() == [1], "the streamed record")
    rig.sweeper().catch_up(NEVER)
    streamed, swept = rig.changes()
    assert swept["after"] == streamed["after"]
    assert (streamed["op"], swept["op"]) == ("c", "r")
    assert list(swept) == list(streamed)
    assert list(swept["source"]) == list(streamed["source"])
    assert (swept["source"]["snapshot"], swept["source"]["lsn"], swept["source"]["txId"]) == ("incremental", None, None)
    assert None not in json.loads(swept["source"]["sequence"])


def test_due_dispatch_rows_and_jobs_wake_their_claimers(with_slot):
    rig = with_slot
    rig.execute(
        "INSERT INTO user_activity_dispatch_outbox"
        " (event_id, dispatch_target, next_retry_at, claimed_until, created_at)"
        " SELECT gen_random_uuid(), 'POSTHOG', retry, claim, now() - interval '1 hour' FROM (VALUES"
        " (NULL::timestamptz, NULL::timestamptz), (now() - interval '1 min', NULL), (now() + interval '1 hour', NULL),"
        " (NULL, now() + interval '1 min')) AS v (retry, claim)"
    )
    rig.execute(
        "INSERT INTO notify_jobs (template_id, member_id, dedup_key, scheduled_at, status)"
        " VALUES (1, 7, 'a', now() - interval '1 hour', 'READY'), (1, 7, 'b', now() + interval '1 hour', 'READY'),"
        " (1, 7, 'c', now() - interval '1 hour', 'DONE')"
    )
    advance_slot(rig)
    swept = rig.sweeper(sweep_after_s=300).sweep(NEVER)
    assert (swept["user_activity_dispatch_outbox"], swept["notify_jobs"]) == (2, 1)
    assert [change["after"]["dedup_key"] for change in rig.changes("notify_jobs")] == ["a"]


def test_logs_are_facts_and_are_never_read_again(with_slot):
    rig = with_slot
    rig.execute(
        "INSERT INTO push_message_logs (job_id, template_id, member_id, status, dedup_key)"
        " VALUES (1, 1, 1, 'DELIVERED', 'new')"
    )
    advance_slot(rig)
    assert "push_message_logs" not in rig.sweeper().sweep(NEVER)
    rig.sweeper().catch_up(NEVER)
    assert rig.changes("push_message_logs") == []


def test_a_pass_goes_on_where_the_last_one_ended(with_slot):
    rig = with_slot
    rig.execute(
        "INSERT INTO notify_jobs (template_id, member_id, dedup_key, scheduled_at)"
        " SELECT 1, 7, n::text, now() - interval '1 hour' FROM generate_series(1, 5) AS n"
    )
    advance_slot(rig)
    sweeper = rig.sweeper(sweep_after_s=300, rows_per_pass=2, page_rows=1)
    assert [sweeper.sweep(NEVER)["notify_jobs"] for _ in range(4)] == [2, 2, 1, 2]
    assert [change["after"]["dedup_key"] for change in rig.changes("notify_jobs")] == [
        "1",
        "2",
        "3",
        "4",
        "5",
        "1",
        "2",
    ]


def test_an_oversize_row_is_refused_once_and_the_others_go_on(make_rig):
    rig = make_rig(max_record_bytes=10_000)
    rig.insert(1)
    rig.insert(2, payload=json.dumps("x" * 20_000))
    rig.insert(3)
    rig.sweeper().catch_up(NEVER)
    assert rig.numbers("r") == [1, 3]
    assert len(rig.dead_letters()) == 1
    assert rig.execute(f"SELECT status FROM {OUTBOX} WHERE id = 2") == [("FAILED",)]
    rig.sweeper().catch_up(NEVER)
    assert len(rig.dead_letters()) == 1


def test_a_page_that_kafka_did_not_take_is_not_noted(with_slot, monkeypatch):
    rig = with_slot
    rig.insert(1)
    age(rig)
    advance_slot(rig)
    sweeper = rig.sweeper(sweep_after_s=300)
    with monkeypatch.context() as away:
        away.setattr("capture.sweeper._FLUSH_S", 0.2)
        away.setattr(rig, "bootstrap_servers", "127.0.0.1:1")
        with pytest.raises(DeliveryFailed):
            sweeper.sweep(NEVER)
    assert rig.execute(f"SELECT retry_count FROM {OUTBOX}") == [(0,)]
    assert sweeper.sweep(NEVER)[OUTBOX] == 1
