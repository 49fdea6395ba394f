-- Take the next gap that no other worker has.
SELECT id, first_event, last_event, source_topic, source_partition, dispatches
FROM user_activity_enqueue_gap
ORDER BY failed_at NULLS FIRST, id
LIMIT 1
FOR UPDATE SKIP LOCKED
