-- Each service's role keeps what the service's statements do. tests/service/ingest/test_least_privilege.py compares.
-- A new table is readable and writable for both roles by default (roles.sql): its migration takes away what is too much.

-- safe: no statement of the previous version needs these; an installation may have other roles
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headrace_ingest') THEN
        REVOKE ALL ON schema_migrations FROM headrace_ingest;
        REVOKE DELETE ON jobs, tasks, webhook_events, uploads, tenants, tenant_usage, direct_uploads FROM headrace_ingest;
        REVOKE UPDATE ON upload_parts FROM headrace_ingest;
        REVOKE INSERT, UPDATE, DELETE ON webhook_attempts, tenant_quotas FROM headrace_ingest;
        REVOKE UPDATE, DELETE ON api_keys FROM headrace_ingest;
        GRANT UPDATE (revoked_at) ON api_keys TO headrace_ingest;
        REVOKE SELECT (id) ON webhook_secrets FROM headrace_ingest;
        REVOKE UPDATE ON tenants FROM headrace_ingest;
        GRANT UPDATE (created_at) ON tenants TO headrace_ingest;  -- one column is enough for SELECT … FOR UPDATE
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headrace_processor') THEN
        REVOKE ALL ON schema_migrations, api_keys, tenants, tenant_quotas FROM headrace_processor;
        REVOKE DELETE ON jobs, tasks, webhook_events FROM headrace_processor;
        REVOKE INSERT ON idempotency_keys, uploads, direct_uploads FROM headrace_processor;
        REVOKE INSERT, UPDATE ON upload_parts FROM headrace_processor;
    END IF;
END
$$;
