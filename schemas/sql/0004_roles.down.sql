-- Takes the grants of 0004_roles back. The roles stay: another database of this server may use them.
REVOKE ALL ON user_activity_source_outbox, user_activity_event, user_activity_enqueue_gap,
    user_activity_dispatch_outbox, dispatch_attempts, push_subscription, push_templates, notify_rules, notify_jobs, push_message_logs
    FROM bongsu_producer, bongsu_relay, bongsu_worker, bongsu_reader;
REVOKE ALL (id, member_id, type, vapid_key_id, enabled_yn, disabled_reason, disabled_at, created_at, updated_at)
    ON push_subscription FROM bongsu_reader;
REVOKE ALL (status, retry_count, last_error, next_retry_at, updated_at)
    ON user_activity_source_outbox FROM bongsu_relay, bongsu_worker;
REVOKE ALL (status, last_error, updated_at) ON notify_jobs FROM bongsu_relay;
REVOKE ALL ON FUNCTION bongsu_publish_activity FROM bongsu_producer;
