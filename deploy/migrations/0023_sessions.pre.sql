-- Sessions: a browser that signed in with an API key sends a cookie instead, since <audio> and EventSource send no header.
-- Only the digest of a session's token is stored, as of a key. A session is valid only while its key is.

CREATE TABLE sessions (
    id          text PRIMARY KEY CHECK (id ~ '^s[0-9a-f]{16}$'), -- the part of a token that may be shown; no key's id
    tenant      text NOT NULL REFERENCES tenants,
    key_id      text NOT NULL REFERENCES api_keys ON DELETE CASCADE,
    digest      bytea NOT NULL CHECK (length(digest) = 32), -- SHA-256 of the whole token
    expires_at  timestamptz NOT NULL
);
CREATE INDEX sessions_of_key ON sessions (key_id, expires_at);
CREATE INDEX sessions_by_end ON sessions (expires_at);
CREATE POLICY of_tenant ON sessions USING ((SELECT sees_all_tenants())
    OR tenant = ANY ((SELECT seen_tenants())::text[]));
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE sessions FORCE ROW LEVEL SECURITY;

-- Ingest processes cache sessions beside keys. They drop one that ends early; one that expired is not cached any more.
CREATE TRIGGER sessions_ended AFTER UPDATE OR DELETE ON sessions
    FOR EACH ROW WHEN (OLD.expires_at > now()) EXECUTE FUNCTION tell_api_key_changed();
CREATE TRIGGER sessions_emptied AFTER TRUNCATE ON sessions
    FOR EACH STATEMENT EXECUTE FUNCTION tell_api_key_changed();

-- The ingest makes and ends sessions. The processor deletes expired ones, and sees no digest.
-- safe: the previous version does not use the table; an installation may have other roles
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headrace_ingest') THEN
        REVOKE UPDATE ON sessions FROM headrace_ingest;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headrace_processor') THEN
        REVOKE ALL ON sessions FROM headrace_processor;
        GRANT DELETE, SELECT (id, expires_at) ON sessions TO headrace_processor;
    END IF;
END
$$;

-- `observe`: sees what an admin sees, and changes nothing.
ALTER TABLE api_keys DROP CONSTRAINT api_keys_scopes_check;
ALTER TABLE api_keys ADD CONSTRAINT api_keys_scopes_check
    CHECK ((operates OR scopes <> '{}') AND scopes <@ ARRAY['submit', 'read', 'observe', 'admin']) NOT VALID;
ALTER TABLE api_keys VALIDATE CONSTRAINT api_keys_scopes_check;
