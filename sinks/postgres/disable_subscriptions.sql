-- Switch off subscriptions that their service no longer knows, unless they were renewed since the job was claimed.
UPDATE push_subscription AS subscription
SET enabled_yn = 0, disabled_reason = gone.reason, disabled_at = now(), updated_at = now()
FROM unnest(%(ids)s::bigint[], %(reasons)s::text[], %(job_ids)s::bigint[]) AS gone (id, reason, job_id)
JOIN notify_jobs AS job ON job.id = gone.job_id
WHERE subscription.id = gone.id AND subscription.enabled_yn = 1 AND subscription.updated_at <= job.updated_at
