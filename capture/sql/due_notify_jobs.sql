-- Jobs that are ready, due, and that nobody has taken.
SELECT id
FROM notify_jobs
WHERE status = 'READY'
  AND (%(everything)s OR scheduled_at <= clock_timestamp() - make_interval(secs => %(min_age_s)s))
  AND id > %(after_id)s
ORDER BY id
LIMIT %(limit)s
