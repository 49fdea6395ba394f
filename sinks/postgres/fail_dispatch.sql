-- Write FAILED for rows of a claim that is still held, with the time of the next try or none.
UPDATE user_activity_dispatch_outbox AS dispatch
SET status = 'FAILED', retry_count = failure.retry_count, last_error = failure.error,
    next_retry_at = now() + make_interval(secs => failure.retry_in_s),
    claim_token = NULL, claimed_until = NULL, updated_at = now()
FROM unnest(%(ids)s::bigint[], %(retry_counts)s::int[], %(errors)s::text[], %(retries_in_s)s::float8[])
    AS failure (id, retry_count, error, retry_in_s)
WHERE dispatch.id = failure.id AND dispatch.claim_token = %(token)s
