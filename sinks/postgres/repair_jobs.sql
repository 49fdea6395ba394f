-- Enqueue the notify jobs that the events of a chunk of a gap lack, by the rules in force when they were stored.
INSERT INTO notify_jobs (event_id, rule_id, template_id, member_id, variables, scheduled_at, dedup_key)
SELECT
    event.event_id, rule.id, rule.template_id, event.member_id, event.properties,
    now() + make_interval(secs => rule.delay_seconds), event.event_id || ':' || rule.id
FROM user_activity_event AS event
JOIN notify_rules AS rule
    ON rule.event_name = event.event_name AND rule.enabled_yn = 1 AND rule.updated_at <= event.stored_at
JOIN push_templates AS template
    ON template.id = rule.template_id AND template.enabled_yn = 1 AND template.updated_at <= event.stored_at
WHERE event.id BETWEEN %(first)s AND %(last)s
    AND event.source_topic = %(topic)s AND event.source_partition = %(partition)s
    AND event.member_id IS NOT NULL
    AND NOT EXISTS (
        SELECT FROM notify_jobs AS job WHERE job.dedup_key = event.event_id || ':' || rule.id
    )
ORDER BY event.id, rule.id
ON CONFLICT (dedup_key) DO NOTHING
