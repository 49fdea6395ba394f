-- Claim due jobs for a while: READY ones, and LOCKED ones whose worker let its lease run out; read their templates.
WITH due AS (
    SELECT id
    FROM notify_jobs
    WHERE scheduled_at <= now()
        AND (status = 'READY' AND (locked_until IS NULL OR locked_until < now())
            OR status = 'LOCKED' AND locked_until < now())
    ORDER BY scheduled_at, id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE notify_jobs AS job
    SET status = 'LOCKED', claim_token = %(token)s, locked_until = now() + make_interval(secs => %(lease_s)s),
        updated_at = now()
    FROM due
    WHERE job.id = due.id
    RETURNING job.*
)
SELECT
    claimed.id, claimed.dedup_key, claimed.event_id, claimed.member_id, claimed.variables::text, claimed.retry_count,
    extract(epoch FROM now() - claimed.scheduled_at)::float8, claimed.template_id, template.title, template.body,
    template.url, template.urgency, template.ttl_seconds, template.enabled_yn
FROM claimed
LEFT JOIN push_templates AS template ON template.id = claimed.template_id
ORDER BY claimed.scheduled_at, claimed.id
