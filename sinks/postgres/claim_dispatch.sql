-- Claim due rows of one target for a while, retries and new ones side by side, and read their events.
WITH retries AS (
    SELECT id
    FROM user_activity_dispatch_outbox
    WHERE {target_column} = %(target)s AND status = 'FAILED' AND next_retry_at <= now()
        AND (claimed_until IS NULL OR claimed_until < now())
    ORDER BY next_retry_at, id
    LIMIT greatest(%(limit)s::int / 2, 1)
    FOR UPDATE SKIP LOCKED
), fresh AS (
    SELECT id
    FROM user_activity_dispatch_outbox
    WHERE {target_column} = %(target)s AND status = 'PENDING'
        AND (claimed_until IS NULL OR claimed_until < now())
    ORDER BY id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE user_activity_dispatch_outbox AS dispatch
    SET claim_token = %(token)s, claimed_until = now() + make_interval(secs => %(lease_s)s), updated_at = now()
    FROM (SELECT id FROM retries UNION ALL SELECT id FROM fresh LIMIT %(limit)s) AS chosen
    WHERE dispatch.id = chosen.id
    RETURNING dispatch.id, dispatch.event_id, dispatch.retry_count
)
SELECT
    claimed.id, claimed.event_id, claimed.retry_count, event.event_name, event.event_version, event.partition_key,
    event.member_id, event.anonymous_id, event.session_id, event.platform, event.request_id, event.trace_id,
    event.occurred_at, event.properties::text
FROM claimed
LEFT JOIN user_activity_event AS event ON event.event_id = claimed.event_id
ORDER BY claimed.id
