-- Find the id below which no event is young enough for the repair.
SELECT coalesce(
    (SELECT min(id) - 1 FROM user_activity_event WHERE stored_at >= now() - make_interval(secs => %(lookback_s)s)),
    (SELECT max(id) FROM user_activity_event),
    0
)
