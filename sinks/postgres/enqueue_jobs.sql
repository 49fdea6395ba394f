-- Put one notify job per newly stored event, enabled rule and active template into the queue; count what was wanted.
WITH wanted AS (
    SELECT
        staged.event_id, rule.id AS rule_id, rule.template_id, staged.member_id, staged.properties,
        rule.delay_seconds, staged.source_offset
    FROM staged_event AS staged
    JOIN notify_rules AS rule ON rule.event_name = staged.event_name AND rule.enabled_yn = 1
    JOIN push_templates AS template ON template.id = rule.template_id AND template.enabled_yn = 1
    WHERE staged.member_id IS NOT NULL
), inserted AS (
    INSERT INTO notify_jobs (event_id, rule_id, template_id, member_id, variables, scheduled_at, dedup_key)
    SELECT
        event_id, rule_id, template_id, member_id, properties,
        now() + make_interval(secs => delay_seconds), event_id || ':' || rule_id
    FROM wanted
    ORDER BY source_offset, rule_id
    ON CONFLICT (dedup_key) DO NOTHING
    RETURNING 1
)
SELECT (SELECT count(*) FROM wanted), (SELECT count(*) FROM inserted)
