-- Write what became of claimed jobs and give up the claims; a retry keeps the time at which the job was first due.
UPDATE notify_jobs AS job
SET status = result.status, retry_count = result.retry_count, last_error = result.last_error,
    scheduled_at = coalesce(now() + make_interval(secs => result.due_in_s), job.scheduled_at),
    first_due_at = CASE
        WHEN result.due_in_s IS NULL THEN job.first_due_at
        WHEN job.retry_count = 0 THEN job.scheduled_at
        ELSE coalesce(job.first_due_at, job.scheduled_at)
    END,
    locked_until = now() + make_interval(secs => coalesce(result.hold_s, result.due_in_s)),
    claim_token = NULL, updated_at = now()
FROM unnest(
    %(ids)s::bigint[], %(statuses)s::text[], %(retry_counts)s::int[], %(last_errors)s::text[],
    %(dues_in_s)s::float8[], %(holds_s)s::float8[]
) AS result (id, status, retry_count, last_error, due_in_s, hold_s)
WHERE job.id = result.id AND job.claim_token = %(token)s
