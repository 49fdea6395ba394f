-- Takes 0001_activity back. Every event, outbox row and attempt goes with it.
DROP TABLE dispatch_attempts;
DROP TABLE user_activity_dispatch_outbox;
DROP TABLE user_activity_enqueue_gap;
DROP TABLE user_activity_event;
DROP TABLE user_activity_source_outbox;
