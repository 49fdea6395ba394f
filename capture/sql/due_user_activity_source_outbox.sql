-- Source rows that are not known to be in Kafka, in the order of their keys.
SELECT id
FROM user_activity_source_outbox
WHERE status = 'PENDING'
  AND created_at <= clock_timestamp() - make_interval(secs => %(min_age_s)s)
  AND (%(everything)s OR next_retry_at IS NULL OR next_retry_at <= clock_timestamp())
ORDER BY partition_key, id
LIMIT %(limit)s
