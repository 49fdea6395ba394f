-- Log final outcomes; one row per job and subscription, the first one stands.
INSERT INTO push_message_logs (
    job_id, subscription_id, template_id, member_id, status, http_status, error_code, error_message, dedup_key
)
SELECT *
FROM unnest(
    %(job_ids)s::bigint[], %(subscription_ids)s::bigint[], %(template_ids)s::int[], %(member_ids)s::bigint[],
    %(statuses)s::text[], %(http_statuses)s::int[], %(error_codes)s::text[], %(error_messages)s::text[],
    %(dedup_keys)s::text[]
)
ON CONFLICT (dedup_key) DO NOTHING
