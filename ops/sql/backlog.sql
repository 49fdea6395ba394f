-- Rows per state of the three queues: highest retry count, rows with a retry due, age of the oldest row in seconds.
SELECT 'user_activity_source_outbox' AS "table", status::text AS status, count(*) AS rows,
       max(retry_count) AS max_retry, count(next_retry_at) AS retrying,
       extract(epoch FROM now() - min(created_at))::float8 AS oldest_s
FROM user_activity_source_outbox GROUP BY status
UNION ALL
SELECT 'user_activity_dispatch_outbox', status::text, count(*), max(retry_count), count(next_retry_at),
       extract(epoch FROM now() - min(created_at))::float8
FROM user_activity_dispatch_outbox GROUP BY status
UNION ALL
SELECT 'notify_jobs', status::text, count(*), max(retry_count), 0,
       extract(epoch FROM now() - min(created_at))::float8
FROM notify_jobs GROUP BY status
ORDER BY 1, 2
