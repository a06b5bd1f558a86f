-- The present tables become the first slice of partitioned tables with the same names. No row is read or moved: the
-- constraints of 0030 are valid. Old statements do the same as before.
--
-- Foreign keys between these tables end. Nothing deletes a job: a slice is dropped as a whole, when all its jobs are
-- erased. A row of a job is inserted in a transaction that inserts or locks the job. A check for each row would look
-- for the slice again.

SET LOCAL search_path = public;

-- safe: renames and attaches, which takes milliseconds; in the order in which the services lock
LOCK TABLE jobs, tasks, webhook_events, webhook_attempts, transcript_edits IN ACCESS EXCLUSIVE MODE;

ALTER TABLE tasks DROP CONSTRAINT tasks_job_id_fkey;
ALTER TABLE webhook_events DROP CONSTRAINT webhook_events_job_id_fkey;
ALTER TABLE webhook_attempts DROP CONSTRAINT webhook_attempts_event_id_fkey;
ALTER TABLE webhook_attempts DROP CONSTRAINT webhook_attempts_task_id_fkey;
ALTER TABLE transcript_edits DROP CONSTRAINT transcript_edits_job_id_fkey;
-- safe: replaced by tasks_leased; the table is locked already, and the file is unlinked at the commit
DROP INDEX tasks_running;

-- Attempts are partitioned by their ids, so these begin with the time. They sort after all former ids.
CREATE SEQUENCE webhook_attempt_numbers;
CREATE FUNCTION next_attempt_id() RETURNS bigint LANGUAGE sql VOLATILE SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
    SELECT ((extract(epoch FROM clock_timestamp()) * 1000)::bigint << 20) | (nextval('webhook_attempt_numbers') & 1048575)
$$;
ALTER TABLE webhook_attempts ALTER COLUMN id DROP IDENTITY;
ALTER TABLE webhook_attempts ALTER COLUMN id SET DEFAULT next_attempt_id();

-- Whether the transaction's tenants include the one of a job. A subquery in a policy would be planned for all slices.
CREATE FUNCTION sees_job(job uuid) RETURNS boolean LANGUAGE plpgsql STABLE COST 1000 AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM jobs WHERE id = job);
END
$$;
CREATE FUNCTION sees_event(event text) RETURNS boolean LANGUAGE plpgsql STABLE COST 1000 AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM webhook_events WHERE id = event);
END
$$;
ALTER POLICY of_tenant ON tasks USING ((SELECT sees_all_tenants()) OR sees_job(job_id));
ALTER POLICY of_tenant ON webhook_events USING ((SELECT sees_all_tenants()) OR sees_job(job_id));
ALTER POLICY of_tenant ON transcript_edits USING ((SELECT sees_all_tenants()) OR sees_job(job_id));
ALTER POLICY of_tenant ON webhook_attempts USING ((SELECT sees_all_tenants())
    OR tenant = ANY ((SELECT seen_tenants())::text[]) OR (tenant IS NULL AND sees_event(event_id)));

-- A partition: its pages keep space for updates, which change a row twice or more; few of its rows are dead before vacuum.
-- No role reaches it but through its parent, whose policies apply.
CREATE FUNCTION set_up_partition(it regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    a record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = it AND contype = 'p') THEN
        EXECUTE format('ALTER TABLE %s ADD PRIMARY KEY (id)', it);
    END IF;
    EXECUTE format('ALTER TABLE %s SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02,
        autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_analyze_scale_factor = 0.02,
        autovacuum_vacuum_cost_limit = 2000)', it);
    FOR a IN SELECT polname FROM pg_policy WHERE polrelid = it LOOP
        EXECUTE format('DROP POLICY %I ON %s', a.polname, it);
    END LOOP;
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', it);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', it);
    EXECUTE format('CREATE POLICY of_all_tenants ON %s USING ((SELECT sees_all_tenants()))', it);
    FOR a IN SELECT DISTINCT grantee::regrole AS role FROM pg_class, aclexplode(relacl)
             WHERE pg_class.oid = it AND grantee NOT IN (0, relowner) LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', it, a.role);
    END LOOP;
END
$$;

-- The partitioned tables, in the order in which the services lock them.
CREATE FUNCTION slice_parents() RETURNS TABLE (name text, key text) LANGUAGE sql IMMUTABLE AS $$
    VALUES ('jobs', 'id'), ('tasks', 'job_id'), ('webhook_events', 'job_id'), ('webhook_attempts', 'id')
$$;
CREATE FUNCTION slice_bound(parent text, day date) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT quote_literal(CASE parent WHEN 'webhook_attempts' THEN first_attempt_id(day)::text ELSE first_id(day)::text END)
$$;

-- safe: see above; names depend on the day, and rights and policies on the installation
DO $$
DECLARE
    ends date := obj_description((SELECT oid FROM pg_constraint WHERE conrelid = 'jobs'::regclass
                                  AND conname = 'in_slice'), 'pg_constraint')::date;
    parent record;
    it record;
    slice text;
    after_slice text[];
BEGIN
    FOR parent IN SELECT * FROM slice_parents() LOOP
        slice := format('%s_until_%s', parent.name, to_char(ends, 'YYYYMMDD'));
        after_slice := '{}';
        -- A primary key without the partition's key stays with each partition, where an id is unique.
        FOR it IN SELECT c.relname AS name, pg_get_indexdef(c.oid) AS command, x.conname IS NOT NULL AS has_constraint,
                         pg_get_constraintdef(x.oid) AS constraint_command,
                         EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = i.indrelid AND a.attname = parent.key
                                 AND a.attnum = ANY (i.indkey::smallint[])) AS has_key
                  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                      LEFT JOIN pg_constraint x ON x.conindid = i.indexrelid AND x.contype IN ('p', 'u')
                  WHERE i.indrelid = parent.name::regclass LOOP
            EXECUTE format('ALTER INDEX %I RENAME TO %I', it.name, left(it.name, 45) || '_until_' || to_char(ends, 'YYYYMMDD'));
            IF NOT it.has_constraint THEN
                after_slice := after_slice || it.command;
            ELSIF it.has_key THEN
                after_slice := after_slice
                    || format('ALTER TABLE %I ADD CONSTRAINT %I %s', parent.name, it.name, it.constraint_command);
            END IF;
        END LOOP;
        EXECUTE format('ALTER TABLE %I RENAME TO %I', parent.name, slice);
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE
            INCLUDING COMMENTS) PARTITION BY RANGE (%I)', parent.name, slice, parent.key);
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT in_slice', parent.name);
        FOR it IN SELECT unnest(after_slice) AS command LOOP
            EXECUTE it.command;
        END LOOP;
        -- The rights and policies of the table.
        FOR it IN SELECT DISTINCT grantee::regrole AS role FROM pg_class, aclexplode(relacl)
                  WHERE pg_class.oid = parent.name::regclass AND grantee NOT IN (0, relowner) LOOP
            EXECUTE format('REVOKE ALL ON %I FROM %s', parent.name, it.role);
        END LOOP;
        FOR it IN SELECT format('GRANT %s%s ON %I TO %s', privilege, ' (' || quote_ident(col) || ')', parent.name,
                                CASE role WHEN 0 THEN 'PUBLIC' ELSE role::regrole::text END) AS command
                  FROM (SELECT a.privilege_type AS privilege, NULL AS col, a.grantee AS role, c.relowner
                        FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = slice::regclass
                        UNION ALL
                        SELECT a.privilege_type, t.attname, a.grantee, c.relowner
                        FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a
                        WHERE c.oid = slice::regclass) AS rights
                  WHERE role <> relowner LOOP
            EXECUTE it.command;
        END LOOP;
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', parent.name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', parent.name);
        FOR it IN SELECT * FROM pg_policies WHERE schemaname = 'public' AND tablename = slice LOOP
            EXECUTE format('CREATE POLICY %I ON %I AS %s FOR %s TO %s%s%s', it.policyname, parent.name, it.permissive,
                it.cmd, array_to_string(it.roles, ', '), ' USING (' || it.qual || ')',
                ' WITH CHECK (' || it.with_check || ')');
        END LOOP;
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%s)', parent.name, slice,
            slice_bound(parent.name, ends));
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT in_slice', slice);
        PERFORM set_up_partition(slice::regclass);
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', parent.name || '_other', parent.name);
        PERFORM set_up_partition((parent.name || '_other')::regclass);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I DEFAULT', parent.name, parent.name || '_other');
    END LOOP;
END
$$;

-- The days before which the slices end.
CREATE FUNCTION slice_ends() RETURNS SETOF date LANGUAGE sql STABLE AS $$
    SELECT substring(c.relname FROM '_until_(\d{8})$')::date FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'jobs'::regclass AND c.relname ~ '_until_\d{8}$'
$$;

-- Rows that no slice takes, because no processor ran for long, or because their slice is dropped: a partition that is
-- nearly always empty. Makes the next slice, and moves such rows to it.
CREATE FUNCTION make_slice(ends date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET lock_timeout = '1s' AS $$
DECLARE
    begins date := (SELECT max(each) FROM slice_ends() AS each);
    parent record;
    slice text;
BEGIN
    PERFORM set_config('headrace.tenant', '*', true);
    IF ends NOT BETWEEN begins + 1 AND begins + 31 OR begins > (now() AT TIME ZONE 'UTC')::date + 62 THEN
        RAISE EXCEPTION 'a slice from % to % is not the next', begins, ends USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR parent IN SELECT * FROM slice_parents() LOOP
        slice := format('%s_until_%s', parent.name, to_char(ends, 'YYYYMMDD'));
        EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', parent.name || '_other');
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', slice, parent.name);
        PERFORM set_up_partition(slice::regclass);
        EXECUTE format('WITH moved AS (DELETE FROM %1$I WHERE %2$I >= %3$s AND %2$I < %4$s RETURNING *)
            INSERT INTO %5$I SELECT * FROM moved', parent.name || '_other', parent.key,
            slice_bound(parent.name, begins), slice_bound(parent.name, ends), slice);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', parent.name, slice,
            slice_bound(parent.name, begins), slice_bound(parent.name, ends));
    END LOOP;
END
$$;

-- Drops the oldest slice if all its jobs were erased more than `kept_s` ago and no delivery is open. Returns whether.
CREATE FUNCTION drop_slice(ends date, kept_s double precision) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET lock_timeout = '1s' AS $$
DECLARE
    suffix text := '_until_' || to_char(ends, 'YYYYMMDD');
    erased_before timestamptz := now() - make_interval(secs => kept_s);
    is_needed boolean;
    parent record;
BEGIN
    PERFORM set_config('headrace.tenant', '*', true); -- a row that is not seen would be dropped
    IF ends IS DISTINCT FROM (SELECT min(each) FROM slice_ends() AS each) OR ends > erased_before THEN
        RETURN false;
    END IF;
    -- Each condition has an index, but for the last one, which is true of the newest jobs if of any.
    EXECUTE format('SELECT EXISTS (SELECT FROM %1$I WHERE erased_at IS NULL)
        OR EXISTS (SELECT FROM %1$I WHERE erased_at IS NOT NULL AND blobs_erased_at IS NULL)
        OR EXISTS (SELECT FROM %1$I WHERE erased_at >= $1)', 'jobs' || suffix) INTO is_needed USING erased_before;
    IF is_needed THEN
        RETURN false;
    END IF;
    LOCK TABLE jobs, tasks, webhook_events, webhook_attempts IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('SELECT EXISTS (SELECT FROM %1$I WHERE state = ''dispatched'')
        OR EXISTS (SELECT FROM %1$I WHERE state = ''running'')
        OR EXISTS (SELECT FROM %1$I WHERE state = ''waiting'')', 'tasks' || suffix) INTO is_needed;
    IF is_needed THEN
        RETURN false;
    END IF;
    FOR parent IN SELECT * FROM slice_parents() LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I', parent.name || suffix);
    END LOOP;
    DELETE FROM jobs_other WHERE id < first_id(ends) AND erased_at < erased_before;
    RETURN true;
END
$$;

-- Drops the delivery attempts of a slice. The processor may delete attempts anyway.
CREATE FUNCTION drop_attempts(ends date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET lock_timeout = '1s' AS $$
BEGIN
    EXECUTE format('DROP TABLE IF EXISTS %I', 'webhook_attempts_until_' || to_char(ends, 'YYYYMMDD'));
END
$$;

-- safe: the functions are new; an installation may have other roles
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'headrace_processor') THEN
        REVOKE ALL ON FUNCTION make_slice, drop_slice, drop_attempts FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION make_slice, drop_slice, drop_attempts TO headrace_processor;
    END IF;
    PERFORM make_slice((SELECT max(each) FROM slice_ends() AS each) + 30);
END
$$;
