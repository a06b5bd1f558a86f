-- Who may come in: tenants, and the keys by which their clients are known.

CREATE TABLE tenants (
    name        text PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    created_at  timestamptz NOT NULL DEFAULT now()
);
INSERT INTO tenants (name) VALUES ('default'); -- whose the jobs are where nobody has to show a key

CREATE TABLE api_keys (
    id          text PRIMARY KEY,              -- the part of a key that may be shown
    tenant      text NOT NULL REFERENCES tenants,
    purpose     text NOT NULL CHECK (purpose ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'), -- two keys may live for one
    digest      bytea NOT NULL CHECK (length(digest) = 32), -- SHA-256 of the whole key, which is kept nowhere
    scopes      text[] NOT NULL CHECK (scopes <> '{}' AND scopes <@ ARRAY['submit', 'read', 'admin']),
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz,                   -- null: never
    revoked_at  timestamptz
);
CREATE INDEX api_keys_of_tenant ON api_keys (tenant, purpose);

-- Ingest processes remember keys that they have seen; here they hear, at the commit, which one to forget.
CREATE FUNCTION tell_api_key_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('headrace_api_keys', CASE WHEN TG_LEVEL = 'ROW' THEN OLD.id ELSE '' END); -- none named: all
    RETURN NULL;
END
$$;
CREATE TRIGGER api_keys_changed AFTER UPDATE OR DELETE ON api_keys
    FOR EACH ROW EXECUTE FUNCTION tell_api_key_changed();
CREATE TRIGGER api_keys_emptied AFTER TRUNCATE ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION tell_api_key_changed();
