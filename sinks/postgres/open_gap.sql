-- Note which newly stored events lack what follows from them.
INSERT INTO user_activity_enqueue_gap (first_event, last_event, source_topic, source_partition, dispatches)
VALUES (%(first)s, %(last)s, %(topic)s, %(partition)s, %(dispatches)s)
