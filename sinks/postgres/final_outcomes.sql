-- Count the outcomes that earlier attempts of the given jobs logged.
SELECT job_id, count(*), count(*) FILTER (WHERE status = 'DELIVERED')
FROM push_message_logs
WHERE job_id = ANY(%(ids)s)
GROUP BY job_id
