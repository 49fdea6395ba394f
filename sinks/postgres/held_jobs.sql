-- Lock the jobs of a claim that is still held.
SELECT id FROM notify_jobs
WHERE id = ANY(%(ids)s) AND claim_token = %(token)s AND status = 'LOCKED'
ORDER BY id
FOR UPDATE
