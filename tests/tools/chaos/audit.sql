-- For chaos runs only: log every state change of a task or job, with its writer and the time of the change.
-- Each service sets the connection parameter `chaos.who`. The checker, a superuser, does not set it.

CREATE TABLE chaos_audit (
    seq             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    who             text DEFAULT current_setting('chaos.who', true),
    transaction     xid8 DEFAULT pg_current_xact_id(),
    relation        text NOT NULL,
    operation       text NOT NULL,
    id              uuid NOT NULL,
    job_id          uuid NOT NULL,
    kind            text,
    ordinal         integer,
    old_generation  integer,
    generation      integer,
    old_state       text,
    state           text,
    old_token       bigint,
    token           bigint,
    dispatch_no     integer,
    old_attempts    integer,
    attempts        integer,
    old_crashes     integer,
    crashes         integer,
    old_expires_at  timestamptz
);

CREATE FUNCTION chaos_task_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.state, OLD.lease_token, OLD.dispatch_no, OLD.attempts, OLD.crashes)
            IS NOT DISTINCT FROM (NEW.state, NEW.lease_token, NEW.dispatch_no, NEW.attempts, NEW.crashes) THEN
        RETURN NULL;  -- a heartbeat
    END IF;
    INSERT INTO chaos_audit (relation, operation, id, job_id, kind, ordinal, old_generation, generation, old_state, state,
        old_token, token, dispatch_no, old_attempts, attempts, old_crashes, crashes, old_expires_at)
    VALUES ('tasks', TG_OP, coalesce(NEW.id, OLD.id), coalesce(NEW.job_id, OLD.job_id), coalesce(NEW.kind, OLD.kind),
        coalesce(NEW.ordinal, OLD.ordinal), OLD.generation, NEW.generation, OLD.state, NEW.state, OLD.lease_token,
        NEW.lease_token, NEW.dispatch_no, OLD.attempts, NEW.attempts, OLD.crashes, NEW.crashes, OLD.lease_expires_at);
    RETURN NULL;
END $$;

CREATE FUNCTION chaos_job_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.status, OLD.generation) IS NOT DISTINCT FROM (NEW.status, NEW.generation) THEN
        RETURN NULL;
    END IF;
    INSERT INTO chaos_audit (relation, operation, id, job_id, old_generation, generation, old_state, state)
    VALUES ('jobs', TG_OP, coalesce(NEW.id, OLD.id), coalesce(NEW.id, OLD.id), OLD.generation, NEW.generation,
        OLD.status, NEW.status);
    RETURN NULL;
END $$;

CREATE TRIGGER chaos_audit AFTER INSERT OR UPDATE OR DELETE ON tasks
    FOR EACH ROW EXECUTE FUNCTION chaos_task_changed();
CREATE TRIGGER chaos_audit AFTER INSERT OR UPDATE OR DELETE ON jobs
    FOR EACH ROW EXECUTE FUNCTION chaos_job_changed();
