-- A webhook secret for each tenant, so that a tenant that can verify its webhooks cannot sign another's. A tenant that
-- existed before has none until it rotates; the service's own secret signs for it, as before.

CREATE TABLE webhook_secrets (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant      text NOT NULL REFERENCES tenants,
    secret      text,                          -- null: the service's own, valid for a while after the first rotation
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz                    -- null: the newest, which signs until the next rotation
);
CREATE INDEX webhook_secrets_of_tenant ON webhook_secrets (tenant, created_at);
CREATE UNIQUE INDEX webhook_secrets_newest ON webhook_secrets (tenant) WHERE expires_at IS NULL;
CREATE POLICY of_tenant ON webhook_secrets USING ((SELECT sees_all_tenants())
    OR tenant = ANY ((SELECT seen_tenants())::text[]));
ALTER TABLE webhook_secrets ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_secrets FORCE ROW LEVEL SECURITY;

-- The ingest writes secrets and never reads one; the processor reads them and never writes one.
-- safe: the previous version does not use the table; an installation may have other roles
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headrace_ingest') THEN
        REVOKE ALL ON webhook_secrets FROM headrace_ingest;
        GRANT INSERT, DELETE, SELECT (id, tenant, created_at, expires_at), UPDATE (expires_at)
            ON webhook_secrets TO headrace_ingest;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headrace_processor') THEN
        REVOKE ALL ON webhook_secrets FROM headrace_processor;
        GRANT SELECT ON webhook_secrets TO headrace_processor;
    END IF;
END
$$;

-- A new tenant has a secret at once, whatever creates it; two UUIDs have 244 random bits.
CREATE FUNCTION make_webhook_secret() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO webhook_secrets (tenant, secret) VALUES (NEW.name, 'whsec_' || encode(
        sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')), 'base64'));
    RETURN NULL;
END
$$;
CREATE TRIGGER tenants_get_webhook_secret AFTER INSERT ON tenants
    FOR EACH ROW EXECUTE FUNCTION make_webhook_secret();

-- The operator's keys see the numbers and tracebacks of the whole service. A tenant's admin cannot make one.
ALTER TABLE api_keys ADD COLUMN operates boolean NOT NULL DEFAULT false;
