-- Delivery logs young enough for a window to count; read again only when a new slot is made.
SELECT id
FROM push_message_logs
WHERE sent_at >= clock_timestamp() - make_interval(secs => %(horizon_s)s)
ORDER BY id
