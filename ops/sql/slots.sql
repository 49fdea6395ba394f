-- Every logical replication slot of the cluster with the server's present position in the log.
SELECT slot_name, database, active, active_pid, restart_lsn::text AS restart_lsn,
       confirmed_flush_lsn::text AS confirmed_lsn, wal_status, safe_wal_size,
       (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END)::text AS current_lsn
FROM pg_replication_slots
WHERE slot_type = 'logical'
ORDER BY slot_name
