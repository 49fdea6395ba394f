-- Marks a source row that the relay refused; replay leaves it alone unless asked for FAILED rows.
UPDATE user_activity_source_outbox
SET status = 'FAILED',
    last_error = %(error)s,
    updated_at = clock_timestamp()
WHERE id = %(id)s
  AND status = 'PENDING'
