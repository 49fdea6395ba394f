-- Claim due jobs for a while, waited ones and fresh ones side by side, and read their templates.
WITH waited AS (  -- held or tried before, or LOCKED by a worker that let its lease run out
    SELECT id
    FROM notify_jobs
    WHERE status IN ('READY', 'LOCKED') AND locked_until <= now() AND scheduled_at <= now()
    ORDER BY locked_until, id
    LIMIT greatest(%(limit)s::int / 2, 1)
    FOR UPDATE SKIP LOCKED
), fresh AS (
    SELECT id
    FROM notify_jobs
    WHERE status = 'READY' AND locked_until IS NULL AND scheduled_at <= now()
    ORDER BY scheduled_at, id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE notify_jobs AS job
    SET status = 'LOCKED', claim_token = %(token)s, locked_until = now() + make_interval(secs => %(lease_s)s),
        updated_at = now()
    FROM (SELECT id FROM waited UNION ALL SELECT id FROM fresh LIMIT %(limit)s) AS chosen
    WHERE job.id = chosen.id
    RETURNING job.*
)
SELECT
    claimed.id, claimed.dedup_key, claimed.event_id, claimed.member_id, claimed.variables::text, claimed.retry_count,
    extract(epoch FROM now() - CASE
        WHEN claimed.retry_count = 0 THEN claimed.scheduled_at
        ELSE coalesce(claimed.first_due_at, claimed.scheduled_at)
    END)::float8,
    claimed.template_id, template.title, template.body, template.url, template.urgency, template.ttl_seconds,
    template.enabled_yn
FROM claimed
LEFT JOIN push_templates AS template ON template.id = claimed.template_id
ORDER BY claimed.scheduled_at, claimed.id
