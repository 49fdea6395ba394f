-- Mark source rows whose records were refused (001 L206-210: FAILED); nothing but their acceptance takes that back.
UPDATE user_activity_source_outbox AS source
SET status = 'FAILED', retry_count = source.retry_count + 1, last_error = refused.error, updated_at = now()
FROM unnest(%(ids)s::bigint[], %(event_ids)s::text[], %(errors)s::text[]) AS refused (id, event_id, error)
WHERE source.id = refused.id AND source.event_id::text = refused.event_id
