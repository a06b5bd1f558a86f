-- Which processor runs the maintenance loops. It renews its lease; after the lease another one leads.

CREATE TABLE maintenance_leaders (
    name        text NOT NULL,
    shard       integer NOT NULL,
    holder      text NOT NULL,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (name, shard)
);
CREATE POLICY of_all_tenants ON maintenance_leaders USING ((SELECT sees_all_tenants()));
ALTER TABLE maintenance_leaders ENABLE ROW LEVEL SECURITY;
ALTER TABLE maintenance_leaders FORCE ROW LEVEL SECURITY;

-- safe: the previous version does not use the table; an installation may have other roles
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headrace_ingest') THEN
        REVOKE ALL ON maintenance_leaders FROM headrace_ingest;
    END IF;
END
$$;
