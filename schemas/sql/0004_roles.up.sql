-- Group roles with the least each kind of process needs; grant them to login roles of your own.
-- Roles belong to the whole server: where they exist already, only the grants are made. Without the right to create
-- roles (managed PostgreSQL) the names must be made by its administrator first.

DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['bongsu_producer', 'bongsu_relay', 'bongsu_worker', 'bongsu_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;  -- another database of this server made it at the same moment
            END;
        END IF;
    END LOOP;
END;
$$;

-- Producers: write events, nothing else.
GRANT EXECUTE ON FUNCTION bongsu_publish_activity TO bongsu_producer;

-- Relay: reads what it captures and what the sweeper reads again, marks rows that it refused. Its login role needs
-- REPLICATION too, and the publication must be made by the tables' owner or be there already (docs/guarantees.md).
GRANT SELECT ON user_activity_source_outbox, user_activity_dispatch_outbox, dispatch_attempts, notify_jobs,
    push_message_logs TO bongsu_relay;
GRANT UPDATE (status, retry_count, last_error, next_retry_at, updated_at) ON user_activity_source_outbox
    TO bongsu_relay;
GRANT UPDATE (status, last_error, updated_at) ON notify_jobs TO bongsu_relay;

-- Workers: store, claim and record.
GRANT SELECT ON user_activity_source_outbox, push_templates, notify_rules TO bongsu_worker;
GRANT UPDATE (status, retry_count, last_error, next_retry_at, updated_at) ON user_activity_source_outbox
    TO bongsu_worker;
GRANT SELECT, INSERT ON user_activity_event, dispatch_attempts, push_message_logs TO bongsu_worker;
GRANT SELECT, INSERT, UPDATE ON user_activity_dispatch_outbox, notify_jobs TO bongsu_worker;
GRANT SELECT, UPDATE ON push_subscription TO bongsu_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON user_activity_enqueue_gap TO bongsu_worker;

-- Readers: operators' SQL of the runbooks. Subscriptions are left out: an endpoint is a capability.
GRANT SELECT ON user_activity_source_outbox, user_activity_event, user_activity_enqueue_gap,
    user_activity_dispatch_outbox, dispatch_attempts, push_templates, notify_rules, notify_jobs, push_message_logs
    TO bongsu_reader;
GRANT SELECT (id, member_id, type, vapid_key_id, enabled_yn, disabled_reason, disabled_at, created_at, updated_at)
    ON push_subscription TO bongsu_reader;
