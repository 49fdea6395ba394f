-- Look at the next events in the order of their ids, leaving out those whose enqueuing may still be under way.
SELECT coalesce(max(id), %(after)s), count(*)
FROM (
    SELECT id
    FROM user_activity_event
    WHERE id > %(after)s AND stored_at < now() - make_interval(secs => %(settled_s)s)
    ORDER BY id
    LIMIT %(limit)s
) AS chunk
