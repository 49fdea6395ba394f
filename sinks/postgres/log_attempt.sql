-- Record one batch that was sent; the time it took lies before now.
INSERT INTO dispatch_attempts (
    dispatch_target, batch_id, attempted, succeeded, failed, http_status, error_code, error_message, duration_ms,
    started_at
)
VALUES (
    %(target)s, %(batch_id)s, %(attempted)s, %(succeeded)s, %(failed)s, %(http_status)s, %(error_code)s,
    %(error_message)s, %(duration_ms)s, clock_timestamp() - make_interval(secs => %(duration_ms)s / 1000.0)
)
