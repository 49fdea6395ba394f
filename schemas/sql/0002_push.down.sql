-- Takes 0002_push back. Subscriptions go with it: members must subscribe again.
DROP TABLE push_message_logs;
DROP TABLE notify_jobs;
DROP TABLE notify_rules;
DROP TABLE push_templates;
DROP TABLE push_subscription;
