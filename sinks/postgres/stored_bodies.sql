-- Read what is stored under the given event ids, to tell a duplicate from a conflict.
SELECT event_id, body_hash, source_topic, source_partition, source_offset
FROM user_activity_event
WHERE event_id = ANY(%(event_ids)s)
