-- Jobs, and what grows with them, become partitioned by age. A slice is one partition of each of these tables: the jobs
-- whose ids (UUIDv7) were made before a day, their tasks and events, and the delivery attempts made before it. The present
-- rows become the first slice, which ends in two weeks (0034). Repeat an interrupted `--phase pre` before that.

-- The lowest UUIDv7 of a day, in UTC.
CREATE FUNCTION first_id(day date) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT rpad(lpad(to_hex((extract(epoch FROM day) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$;

-- The lowest id of a delivery attempt of a day: milliseconds, then 20 bits of a sequence.
CREATE FUNCTION first_attempt_id(day date) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT (extract(epoch FROM day) * 1000)::bigint << 20
$$;

-- safe: each statement adds a constraint that is NOT VALID; its bound depends on the day
DO $$
DECLARE
    ends date := (now() AT TIME ZONE 'UTC')::date + 14;
BEGIN
    EXECUTE format('ALTER TABLE jobs ADD CONSTRAINT in_slice CHECK (id < %L::uuid) NOT VALID', first_id(ends));
    EXECUTE format('ALTER TABLE tasks ADD CONSTRAINT in_slice CHECK (job_id < %L::uuid) NOT VALID', first_id(ends));
    EXECUTE format('ALTER TABLE webhook_events ADD CONSTRAINT in_slice CHECK (job_id < %L::uuid) NOT VALID', first_id(ends));
    EXECUTE format('ALTER TABLE webhook_attempts ADD CONSTRAINT in_slice CHECK (id < %s::bigint) NOT VALID', first_attempt_id(ends));
    EXECUTE format('COMMENT ON CONSTRAINT in_slice ON jobs IS %L', ends);
END
$$;
