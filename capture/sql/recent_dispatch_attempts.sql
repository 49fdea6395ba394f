-- Attempts young enough for a window to count; read again only when a new slot is made.
SELECT id
FROM dispatch_attempts
WHERE created_at >= clock_timestamp() - make_interval(secs => %(horizon_s)s)
ORDER BY id
