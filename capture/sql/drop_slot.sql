-- Drops a slot that nobody reads; nothing happens if there is none of that name.
SELECT pg_drop_replication_slot(slot_name)
FROM pg_replication_slots
WHERE slot_name = %(slot)s
  AND NOT active
