-- Take back the refusal of source rows that were emitted again and accepted now (001 L209: FAILED to PUBLISHED).
UPDATE user_activity_source_outbox AS source
SET status = 'PUBLISHED', last_error = NULL, next_retry_at = NULL, updated_at = now()
FROM unnest(%(ids)s::bigint[], %(event_ids)s::uuid[]) AS accepted (id, event_id)
WHERE source.id = accepted.id AND source.event_id = accepted.event_id AND source.status = 'FAILED'
