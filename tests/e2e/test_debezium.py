"""Debezium in place of the relay: same topics, same envelopes, and everything adds up."""

import psycopg
import pytest

from devstack.connect import debezium_properties, start_connect
from devstack.demo.audit import audit
from devstack.demo.session import Options
from tests.e2e.conftest import eventually, running_demo
from tests.e2e.producing import Application
from topics.registry import captured_tables

pytestmark = pytest.mark.real


def make_publication(database_url):
    """As the relay makes it: inserts only, no filters, no column lists (design.md §1)."""
    tables = ", ".join(captured_tables())
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE PUBLICATION bongsu FOR TABLE {tables} WITH (publish = 'insert')")


def slot_is_read(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        return connection.execute("SELECT 1 FROM pg_replication_slots WHERE active").fetchone()


def alert_fires(demo):
    """The relay process writes progress beside Debezium: without it no window would ever be evaluated."""
    application = Application(demo)
    member_id = application.member_with_live_subscription()
    demo.faults.carry_out("break", "push")

    def fires():
        application.insert(member_id=member_id)
        return [one for one in demo.witness.alert_log() if one.rule == "push_delivered_ratio"]

    eventually(fires, 90, "an alert fires from what Debezium relayed")


@pytest.mark.parametrize("postgres", [15, 18])
def test_with_debezium_everything_adds_up(request, tmp_path, postgres):
    options = Options(stack="real", postgres=postgres, seed=13, rows=2_000, audited=True, change_reader="debezium")
    with running_demo(request, options) as demo:
        url = demo.stack.database_url
        make_publication(url)
        connector = debezium_properties(
            url,
            tables=list(captured_tables()),
            key_columns={table: topic.key for table, topic in captured_tables().items()},
            slot="bongsu",
        )
        connect = start_connect(tmp_path, bootstrap_servers=demo.stack.bootstrap_servers, connector=connector)
        try:
            eventually(lambda: slot_is_read(url), 60, "Debezium reads its slot")
            demo.start_traffic()
            demo.wait_until_quiet(120)
            ledgers = demo.ledgers()
            alert_fires(demo)
        finally:
            connect.stop()
        assert [*demo.lost_sight(), *map(str, audit(ledgers))] == []
        assert ledgers.written.outbox_rows == 2_000
