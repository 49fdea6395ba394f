-- Marks a job that the relay refused; nobody would wake its sender.
UPDATE notify_jobs
SET status = 'FAILED',
    last_error = %(error)s,
    updated_at = clock_timestamp()
WHERE id = %(id)s
  AND status = 'READY'
