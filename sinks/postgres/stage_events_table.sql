-- The session's staging table: a batch's first occurrences, emptied by every commit.
CREATE TEMPORARY TABLE staged_event (
    event_id         uuid        NOT NULL,
    event_name       text        NOT NULL,
    event_version    integer     NOT NULL,
    partition_key    text        NOT NULL,
    member_id        bigint,
    anonymous_id     text,
    session_id       text,
    platform         text,
    request_id       text,
    trace_id         text,
    occurred_at      timestamptz NOT NULL,
    properties       jsonb       NOT NULL,
    body_hash        bytea       NOT NULL,
    source_topic     text        NOT NULL,
    source_partition integer     NOT NULL,
    source_offset    bigint      NOT NULL,
    source_lsn       bigint
) ON COMMIT DELETE ROWS
