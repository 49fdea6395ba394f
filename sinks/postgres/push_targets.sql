-- Read the enabled subscriptions that have no final outcome for the given jobs yet.
SELECT job.id, subscription.id, subscription.endpoint, subscription.p256dh, subscription.auth, subscription.vapid_key_id
FROM notify_jobs AS job
JOIN push_subscription AS subscription ON subscription.member_id = job.member_id AND subscription.enabled_yn = 1
WHERE job.id = ANY(%(ids)s)
    AND NOT EXISTS (
        SELECT FROM push_message_logs AS log WHERE log.dedup_key = job.dedup_key || ':' || subscription.id
    )
ORDER BY job.id, subscription.id
