-- Several webhooks of a job, and endpoints that a tenant registers for all its jobs.

ALTER TABLE jobs ADD COLUMN webhooks jsonb;             -- beside webhook_url: shared.schemas.webhooks.JobWebhook
-- What the attempt was for: null: the job's webhook_url; w0 to w7: its webhooks; 32 hexadecimal digits: an endpoint.
ALTER TABLE webhook_attempts ADD COLUMN target text;
ALTER TABLE webhook_tests ADD COLUMN endpoint_id uuid;  -- whose URL and secrets are used; null: the row's, the tenant's

-- At most 16 of a tenant. Each event of a job becomes a deliver task for each one.
CREATE TABLE webhook_endpoints (
    id             uuid PRIMARY KEY,
    tenant         text NOT NULL,
    url            text NOT NULL,               -- never shown again: it may contain a token
    host           text NOT NULL,
    events         text[] NOT NULL,
    contents       text NOT NULL,
    enabled        boolean NOT NULL,            -- as the tenant wants it
    description    text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    failing_since  timestamptz,                 -- the first failed attempt since the last delivery
    paused_at      timestamptz,                 -- by the service: it failed for too long, or is gone
    paused_reason  text
);
CREATE INDEX webhook_endpoints_of_tenant ON webhook_endpoints (tenant, created_at);
CREATE POLICY of_tenant ON webhook_endpoints USING ((SELECT sees_all_tenants())
    OR tenant = ANY ((SELECT seen_tenants())::text[]));
ALTER TABLE webhook_endpoints ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_endpoints FORCE ROW LEVEL SECURITY;

CREATE TABLE webhook_endpoint_secrets (
    endpoint_id  uuid NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
    tenant       text NOT NULL,
    secret       text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,                   -- null: the newest, which signs until the next rotation
    PRIMARY KEY (endpoint_id, secret)
);
CREATE UNIQUE INDEX webhook_endpoint_secrets_newest ON webhook_endpoint_secrets (endpoint_id) WHERE expires_at IS NULL;
CREATE POLICY of_tenant ON webhook_endpoint_secrets USING ((SELECT sees_all_tenants())
    OR tenant = ANY ((SELECT seen_tenants())::text[]));
ALTER TABLE webhook_endpoint_secrets ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_endpoint_secrets FORCE ROW LEVEL SECURITY;

-- The ingest writes URLs and secrets and never reads one; the processor reads them, and pauses and resumes endpoints.
-- safe: the previous version does not use the tables; an installation may have other roles
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headrace_ingest') THEN
        REVOKE ALL ON webhook_endpoints, webhook_endpoint_secrets FROM headrace_ingest;
        GRANT INSERT, DELETE, UPDATE (url, host, events, contents, enabled, description, failing_since, paused_at,
            paused_reason), SELECT (id, tenant, host, events, contents, enabled, description, created_at, failing_since,
            paused_at, paused_reason) ON webhook_endpoints TO headrace_ingest;
        GRANT INSERT, DELETE, SELECT (endpoint_id, tenant, created_at, expires_at), UPDATE (expires_at)
            ON webhook_endpoint_secrets TO headrace_ingest;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headrace_processor') THEN
        REVOKE ALL ON webhook_endpoints, webhook_endpoint_secrets FROM headrace_processor;
        GRANT SELECT, UPDATE (failing_since, paused_at, paused_reason) ON webhook_endpoints TO headrace_processor;
        GRANT SELECT (endpoint_id, secret, expires_at) ON webhook_endpoint_secrets TO headrace_processor;
    END IF;
END
$$;
