-- The one way for a producer to write an event inside its own transaction.
-- Safe before the new code is deployed: it only adds.

CREATE FUNCTION bongsu_publish_activity(
    event_name    text,
    payload       text,
    partition_key text,
    member_id     bigint      DEFAULT NULL,
    event_id      uuid        DEFAULT gen_random_uuid(),
    occurred_at   timestamptz DEFAULT now(),
    event_version integer     DEFAULT 1,
    anonymous_id  text        DEFAULT NULL,
    session_id    text        DEFAULT NULL,
    platform      text        DEFAULT NULL,
    request_id    text        DEFAULT NULL,
    trace_id      text        DEFAULT NULL
) RETURNS text
LANGUAGE plpgsql
-- A producer may write events but not read or change the outbox: the function's owner does the INSERT.
SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
BEGIN
    INSERT INTO public.user_activity_source_outbox
        (event_id, event_name, event_version, partition_key, member_id, anonymous_id, session_id, platform,
         request_id, trace_id, occurred_at, payload)
    VALUES
        ($5, $1, $7, $3, $4, $8, $9, $10, $11, $12, $6, $2)
    ON CONFLICT ON CONSTRAINT user_activity_source_outbox_event_id_key DO NOTHING;
    RETURN CASE WHEN FOUND THEN 'inserted' ELSE 'duplicate' END;
END;
$$;
COMMENT ON FUNCTION bongsu_publish_activity IS
    'Writes an activity event into the outbox; answers inserted, or duplicate when the event_id is there already.';
REVOKE ALL ON FUNCTION bongsu_publish_activity FROM PUBLIC;
