-- Reads one logical slot of this database with its positions as byte counts.
SELECT slot_name,
       plugin,
       active,
       active_pid,
       (restart_lsn - '0/0'::pg_lsn)::bigint AS restart_lsn,
       (confirmed_flush_lsn - '0/0'::pg_lsn)::bigint AS confirmed_flush_lsn,
       (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint AS current_lsn,
       wal_status,
       safe_wal_size
FROM pg_replication_slots
WHERE slot_name = %(slot)s
  AND slot_type = 'logical'
