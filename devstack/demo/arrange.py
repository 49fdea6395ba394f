"""What a demo's application has before the first event: members with subscriptions, and notification rules."""

from collections.abc import Sequence
from typing import Any

import psycopg

from devstack.demo.ledger import NotifyRule, Subscription
from devstack.demo.plan import NOTIFYING, Member
from devstack.demo.receivers import NewSubscription


def arrange(
    connection: psycopg.Connection[Any], members: Sequence[Member], made: Sequence[NewSubscription]
) -> tuple[list[Subscription], list[NotifyRule]]:
    """Insert subscriptions and rules in one transaction.

    Args:
        connection: outside any transaction.
        members: the population; each of their subscriptions takes one of `made`, in order.
        made: fresh subscriptions of the push receiver, as many as the members have.
    """
    wanted = [(member.member_id, expires) for member in members for expires in member.subscriptions]
    rows = [(member_id, new.endpoint, new.p256dh, new.auth) for (member_id, _), new in zip(wanted, made, strict=True)]
    with connection.transaction(), connection.cursor() as cursor:
        with cursor.copy("COPY push_subscription (member_id, endpoint, p256dh, auth) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        cursor.execute("SELECT endpoint, id FROM push_subscription")
        ids = dict(cursor.fetchall())
        rules = [_rule(cursor, name, template_id) for name, template_id in NOTIFYING.items()]
    subscriptions = [
        Subscription(ids[new.endpoint], member_id, new.endpoint, expires)
        for (member_id, expires), new in zip(wanted, made, strict=True)
    ]
    return subscriptions, rules


def _rule(cursor: psycopg.Cursor[Any], event_name: str, template_id: int) -> NotifyRule:
    cursor.execute(
        "INSERT INTO notify_rules (event_name, template_id) VALUES (%s, %s) RETURNING id",
        [event_name, template_id],
    )
    row = cursor.fetchone()
    assert row is not None
    return NotifyRule(int(row[0]), event_name, template_id)
