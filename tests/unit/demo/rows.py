"""An outbox row as a change event carries it."""


def as_row(draft):
    """Column to value of the row that this draft becomes."""
    return {
        "event_id": str(draft.event_id),
        "event_name": draft.event_name,
        "event_version": 1,
        "partition_key": draft.partition_key,
        "member_id": draft.member_id,
        "anonymous_id": draft.anonymous_id,
        "session_id": draft.session_id,
        "platform": draft.platform,
        "occurred_at": draft.occurred_at.isoformat(),
        "payload": draft.payload,
    }
