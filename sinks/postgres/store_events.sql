-- Store the staged events in the order of their records; return the ids and offsets of those that are new.
INSERT INTO user_activity_event (
    event_id, event_name, event_version, partition_key, member_id, anonymous_id, session_id, platform, request_id,
    trace_id, occurred_at, properties, body_hash, source_topic, source_partition, source_offset, source_lsn
)
SELECT
    event_id, event_name, event_version, partition_key, member_id, anonymous_id, session_id, platform, request_id,
    trace_id, occurred_at, properties, body_hash, source_topic, source_partition, source_offset, source_lsn
FROM staged_event
ORDER BY source_offset
ON CONFLICT (event_id) DO NOTHING
RETURNING id, source_offset
