-- Writes one event into the outbox in the caller's transaction; no row comes back if its event_id is there already.
INSERT INTO user_activity_source_outbox
    (event_id, event_name, event_version, partition_key, member_id, anonymous_id, session_id, platform, request_id,
     trace_id, occurred_at, payload)
VALUES
    (%(event_id)s, %(event_name)s, %(event_version)s, %(partition_key)s, %(member_id)s, %(anonymous_id)s,
     %(session_id)s, %(platform)s, %(request_id)s, %(trace_id)s, coalesce(%(occurred_at)s, now()), %(payload)s)
ON CONFLICT (event_id) DO NOTHING
RETURNING id
