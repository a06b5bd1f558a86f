-- Test events of webhooks, and the tenant of each delivery attempt, by which a list of all attempts of a tenant finds them.

ALTER TABLE webhook_attempts ADD COLUMN tenant text;  -- null: inserted by a version before this one; maintenance fills it
ALTER POLICY of_tenant ON webhook_attempts USING ((SELECT sees_all_tenants())
    OR tenant = ANY ((SELECT seen_tenants())::text[])
    OR (tenant IS NULL AND EXISTS (SELECT 1 FROM webhook_events WHERE webhook_events.id = event_id)));

-- Each is sent once, and deleted an hour after it was requested.
CREATE TABLE webhook_tests (
    id            uuid PRIMARY KEY,
    tenant        text NOT NULL,
    url           text NOT NULL,               -- never shown again: it may contain a token
    host          text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    attempted_at  timestamptz,                 -- null: no processor has sent it yet
    duration_ms   integer,                     -- null: not sent, on its way, or the worker was lost
    status        integer,                     -- of the answer; null: there was none
    error         text,                        -- why the event was not delivered
    answer        text                         -- its first bytes
);
CREATE INDEX webhook_tests_of_tenant ON webhook_tests (tenant, created_at);
CREATE INDEX webhook_tests_to_send ON webhook_tests (created_at) WHERE attempted_at IS NULL;
CREATE POLICY of_tenant ON webhook_tests USING ((SELECT sees_all_tenants())
    OR tenant = ANY ((SELECT seen_tenants())::text[]));
ALTER TABLE webhook_tests ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_tests FORCE ROW LEVEL SECURITY;

-- The ingest requests tests and reads the results; the processor sends them and deletes old ones.
-- safe: the previous version does not use the table; an installation may have other roles
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headrace_ingest') THEN
        REVOKE ALL ON webhook_tests FROM headrace_ingest;
        GRANT INSERT, SELECT (id, tenant, host, created_at, attempted_at, duration_ms, status, error, answer)
            ON webhook_tests TO headrace_ingest;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headrace_processor') THEN
        REVOKE INSERT ON webhook_tests FROM headrace_processor;
    END IF;
END
$$;
