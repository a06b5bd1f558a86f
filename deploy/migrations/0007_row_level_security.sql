-- The second wall between tenants: a statement sees the rows of those that its transaction names in `headrace.tenant`
-- (shared/tenancy.py), a list with commas, `*` for all. Where nothing is named, nothing is seen. It holds for the tables'
-- owner, too; superusers pass. Its first wall is the tenant in every query.

-- Each is asked for once a statement, not once a row, as a sub-select.
CREATE FUNCTION sees_all_tenants() RETURNS boolean LANGUAGE sql STABLE
    RETURN coalesce(current_setting('headrace.tenant', true) = '*', false);
CREATE FUNCTION seen_tenants() RETURNS text[] LANGUAGE sql STABLE
    RETURN string_to_array(coalesce(current_setting('headrace.tenant', true), ''), ',');

DO $$
DECLARE
    it text;
BEGIN
    FOREACH it IN ARRAY ARRAY['jobs', 'uploads', 'idempotency_keys', 'api_keys'] LOOP
        EXECUTE format('CREATE POLICY of_tenant ON %I USING ((SELECT sees_all_tenants())
            OR tenant = ANY ((SELECT seen_tenants())::text[]))', it);
    END LOOP;
    FOREACH it IN ARRAY ARRAY['jobs', 'uploads', 'idempotency_keys', 'api_keys', 'tasks', 'webhook_events',
                              'webhook_attempts', 'upload_parts', 'tenants'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', it);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', it);
    END LOOP;
END
$$;
CREATE POLICY of_tenant ON tenants USING ((SELECT sees_all_tenants()) OR name = ANY ((SELECT seen_tenants())::text[]));
CREATE POLICY of_tenant ON webhook_events USING ((SELECT sees_all_tenants())
    OR EXISTS (SELECT 1 FROM jobs WHERE jobs.id = job_id));
CREATE POLICY of_tenant ON webhook_attempts USING ((SELECT sees_all_tenants())
    OR EXISTS (SELECT 1 FROM webhook_events WHERE webhook_events.id = event_id));
CREATE POLICY of_tenant ON upload_parts USING ((SELECT sees_all_tenants())
    OR EXISTS (SELECT 1 FROM uploads WHERE uploads.id = upload_id));

-- A job and its first task are inserted by one statement, which does not see the job yet: the task's reference to it is
-- checked all the same. So whoever names a tenant may insert a task, and sees it only if the job is his.
CREATE POLICY of_tenant ON tasks USING ((SELECT sees_all_tenants()) OR EXISTS (SELECT 1 FROM jobs WHERE jobs.id = job_id))
    WITH CHECK ((SELECT sees_all_tenants() OR seen_tenants() <> '{}'));
