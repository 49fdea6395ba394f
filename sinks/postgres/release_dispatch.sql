-- Give rows of a claim back as they were.
UPDATE user_activity_dispatch_outbox
SET claim_token = NULL, claimed_until = NULL, updated_at = now()
WHERE id = ANY(%(ids)s) AND claim_token = %(token)s
