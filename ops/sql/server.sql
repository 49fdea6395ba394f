-- The server's version and the settings that capture depends on; sizes in megabytes, -1 means without limit.
SELECT current_setting('server_version') AS version,
       current_setting('wal_level') AS wal_level,
       (SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size') AS slot_keep_mb
