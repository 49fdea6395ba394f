-- Reads the source's clock, where its log ends, and its epoch: system identifier and timeline of the running server.
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS clock_ms,
       (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint AS current_lsn,
       system.system_identifier::text
           || '-' || ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int AS epoch
FROM pg_control_system() AS system
