-- Web push: subscriptions, templates, rules, jobs and message logs (000 L7, §1).
-- Safe before the new code is deployed: it only adds.

CREATE TABLE push_subscription (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    member_id       bigint      NOT NULL,
    type            text        NOT NULL DEFAULT 'CLIENT',
    endpoint        text        NOT NULL,
    p256dh          text        NOT NULL,
    auth            text        NOT NULL,
    vapid_key_id    text,
    enabled_yn      smallint    NOT NULL DEFAULT 1,
    disabled_reason text,
    disabled_at     timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT push_subscription_endpoint_key UNIQUE (endpoint),
    CONSTRAINT push_subscription_type CHECK (type IN ('CLIENT', 'WORKER')),
    CONSTRAINT push_subscription_enabled_yn CHECK (enabled_yn IN (0, 1))
);
CREATE INDEX push_subscription_member ON push_subscription (member_id) WHERE enabled_yn = 1;

CREATE TABLE push_templates (
    id          integer  PRIMARY KEY,
    name        text     NOT NULL,
    title       text     NOT NULL,
    body        text     NOT NULL,
    url         text     NOT NULL DEFAULT '/',
    urgency     text     NOT NULL DEFAULT 'normal',
    ttl_seconds integer  NOT NULL DEFAULT 86400,
    enabled_yn  smallint NOT NULL DEFAULT 1,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT push_templates_name_key UNIQUE (name),
    CONSTRAINT push_templates_urgency CHECK (urgency IN ('very-low', 'low', 'normal', 'high')),
    CONSTRAINT push_templates_enabled_yn CHECK (enabled_yn IN (0, 1))
);
-- Templates 1 to 6 must be present (000 L69); a deployment changes their words.
INSERT INTO push_templates (id, name, title, body, url, urgency, ttl_seconds) VALUES
    (1, 'welcome',       'Welcome',                 'Good to have you here.',                      '/',                    'normal', 86400),
    (2, 'group_created', 'Your group is ready',     'The group {name} was created.',               '/groups/{groupId}',    'normal', 86400),
    (3, 'group_joined',  'A new group',             'You joined {name}.',                          '/groups/{groupId}',    'normal', 86400),
    (4, 'review_saved',  'Thank you',               'Your review of {name} was saved.',            '/reviews/{reviewId}',  'low',    86400),
    (5, 'review_liked',  'Someone likes your review', '{name} likes your review.',                 '/reviews/{reviewId}',  'normal', 43200),
    (6, 'message',       'A new message',           '{name}: {excerpt}',                           '/messages/{messageId}', 'high',   3600);

CREATE TABLE notify_rules (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_name    text     NOT NULL,
    template_id   integer  NOT NULL REFERENCES push_templates (id),
    enabled_yn    smallint NOT NULL DEFAULT 1,
    delay_seconds integer  NOT NULL DEFAULT 0,
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT notify_rules_event_name_template_id_key UNIQUE (event_name, template_id),
    CONSTRAINT notify_rules_enabled_yn CHECK (enabled_yn IN (0, 1)),
    CONSTRAINT notify_rules_delay CHECK (delay_seconds >= 0)
);

CREATE TABLE notify_jobs (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id     uuid,
    rule_id      bigint,
    template_id  integer     NOT NULL REFERENCES push_templates (id),
    member_id    bigint      NOT NULL,
    variables    jsonb       NOT NULL DEFAULT '{}',
    status       text        NOT NULL DEFAULT 'READY',
    scheduled_at timestamptz NOT NULL DEFAULT now(),
    first_due_at timestamptz,  -- scheduled_at before the first retry moved it; a job expires by this
    retry_count  integer     NOT NULL DEFAULT 0,
    last_error   text,
    dedup_key    text        NOT NULL,
    claim_token  uuid,
    locked_until timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT notify_jobs_dedup_key_key UNIQUE (dedup_key),
    CONSTRAINT notify_jobs_status CHECK (status IN ('READY', 'LOCKED', 'DONE', 'FAILED', 'CANCELLED'))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX notify_jobs_fresh ON notify_jobs (scheduled_at, id) WHERE status = 'READY' AND locked_until IS NULL;
CREATE INDEX notify_jobs_waited ON notify_jobs (locked_until, id)
    WHERE status IN ('READY', 'LOCKED') AND locked_until IS NOT NULL;
CREATE INDEX notify_jobs_event ON notify_jobs (event_id);

CREATE TABLE push_message_logs (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id          bigint      NOT NULL,
    subscription_id bigint,
    template_id     integer     NOT NULL,
    member_id       bigint      NOT NULL,
    status          text        NOT NULL,
    http_status     integer,
    error_code      text,
    error_message   text,
    dedup_key       text        NOT NULL,
    sent_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT push_message_logs_dedup_key_key UNIQUE (dedup_key),
    CONSTRAINT push_message_logs_status CHECK (status IN ('DELIVERED', 'FAILED'))
);
CREATE INDEX push_message_logs_sent_at ON push_message_logs (sent_at);
CREATE INDEX push_message_logs_job ON push_message_logs (job_id);
