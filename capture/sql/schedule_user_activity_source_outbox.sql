-- Notes that rows were emitted again, and when to look at them next: doubling from the sweep's age up to an hour.
UPDATE user_activity_source_outbox
SET retry_count = retry_count + 1,
    next_retry_at = clock_timestamp()
        + make_interval(secs => least(3600, %(base_s)s::double precision * power(2, least(retry_count, 12)))),
    updated_at = clock_timestamp()
WHERE id = ANY (%(ids)s)
  AND status = 'PENDING'
