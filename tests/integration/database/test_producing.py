"""README's ways of producing, as a reader copies them."""

import psycopg
import pytest

from capture.outbox import Duplicate, Inserted, publish_activity, publish_activity_async

pytestmark = pytest.mark.integration

HIKERS = {"groupId": 3, "name": "Hikers"}


def rows(connection):
    return connection.execute("SELECT event_name, partition_key, member_id FROM user_activity_source_outbox").fetchall()


def test_the_function_writes_in_the_callers_transaction_and_only_if_it_commits(database):
    with psycopg.connect(database, autocommit=True) as connection:
        with connection.transaction(force_rollback=True):
            publish_activity(connection, event_name="group.created", partition_key="member-17", properties=HIKERS)
        assert rows(connection) == []
        with connection.transaction():
            outcome = publish_activity(
                connection, event_name="group.created", partition_key="member-17", member_id=17, properties=HIKERS
            )
        assert isinstance(outcome, Inserted)
        assert rows(connection) == [("group.created", "member-17", 17)]
        again = publish_activity(
            connection, event_name="x", partition_key="y", properties={}, event_id=outcome.event_id
        )
        assert again == Duplicate(outcome.event_id)


async def test_the_function_on_an_asynchronous_connection(database):
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        outcome = await publish_activity_async(
            connection, event_name="group.created", partition_key="member-17", properties=HIKERS
        )
    assert isinstance(outcome, Inserted)


def test_the_sql_function_as_readme_calls_it(database):
    call = """SELECT bongsu_publish_activity('group.created', '{"groupId": 3}', 'member-17', 17)"""
    with psycopg.connect(database, autocommit=True) as connection:
        assert connection.execute(call).fetchone() == ("inserted",)
        assert rows(connection) == [("group.created", "member-17", 17)]
