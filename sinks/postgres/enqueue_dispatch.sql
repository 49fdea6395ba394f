-- Put one dispatch row per newly stored event into the outbox of the target.
INSERT INTO user_activity_dispatch_outbox (event_id, {target_column})
SELECT event_id, %(target)s::text
FROM staged_event
ORDER BY source_offset
ON CONFLICT (event_id, {target_column}) DO NOTHING
