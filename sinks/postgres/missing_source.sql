-- Find the ids that no source row has: not visible yet, or gone.
SELECT seen.id
FROM unnest(%(ids)s::bigint[], %(event_ids)s::uuid[]) AS seen (id, event_id)
WHERE NOT EXISTS (
    SELECT FROM user_activity_source_outbox AS source
    WHERE source.id = seen.id AND source.event_id = seen.event_id
)
