-- Dispatch rows that are due and that nobody has claimed.
SELECT id
FROM user_activity_dispatch_outbox
WHERE status = 'PENDING'
  AND created_at <= clock_timestamp() - make_interval(secs => %(min_age_s)s)
  AND (%(everything)s OR next_retry_at IS NULL OR next_retry_at <= clock_timestamp())
  AND (claimed_until IS NULL OR claimed_until <= clock_timestamp())
  AND id > %(after_id)s
ORDER BY id
LIMIT %(limit)s
