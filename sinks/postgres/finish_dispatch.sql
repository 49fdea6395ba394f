-- Write DISPATCHED for rows of a claim that is still held.
UPDATE user_activity_dispatch_outbox
SET status = 'DISPATCHED', dispatched_at = clock_timestamp(), next_retry_at = NULL, last_error = NULL,
    claim_token = NULL, claimed_until = NULL, updated_at = now()
WHERE id = ANY(%(ids)s) AND claim_token = %(token)s
