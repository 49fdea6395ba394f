-- Mark source rows that were read from the topic; by id and event_id, since a restored database gives ids out again.
UPDATE user_activity_source_outbox AS source
SET status = 'PUBLISHED', updated_at = now()
FROM unnest(%(ids)s::bigint[], %(event_ids)s::uuid[]) AS seen (id, event_id)
WHERE source.id = seen.id AND source.event_id = seen.event_id AND source.status = 'PENDING'
