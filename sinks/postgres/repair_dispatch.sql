-- Enqueue the dispatch rows that the events of a chunk of a gap lack.
INSERT INTO user_activity_dispatch_outbox (event_id, {target_column})
SELECT event.event_id, %(target)s::text
FROM user_activity_event AS event
WHERE event.id BETWEEN %(first)s AND %(last)s
    AND event.source_topic = %(topic)s AND event.source_partition = %(partition)s
    AND NOT EXISTS (
        SELECT FROM user_activity_dispatch_outbox AS dispatch
        WHERE dispatch.event_id = event.event_id AND dispatch.{target_column} = %(target)s
    )
ORDER BY event.id
ON CONFLICT (event_id, {target_column}) DO NOTHING
