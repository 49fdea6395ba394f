-- Take a batch's first occurrences into the staging table.
COPY staged_event (
    event_id, event_name, event_version, partition_key, member_id, anonymous_id, session_id, platform, request_id,
    trace_id, occurred_at, properties, body_hash, source_topic, source_partition, source_offset, source_lsn
) FROM STDIN
