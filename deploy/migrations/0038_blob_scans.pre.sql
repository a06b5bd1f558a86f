-- How far maintenance has looked through each part of the blob store for orphans.

CREATE TABLE blob_scans (
    name       text PRIMARY KEY,
    before     timestamptz NOT NULL,  -- the pass looks at older blobs only
    after      text NOT NULL,         -- the last key that was looked at, or the number of files of the inventory
    inventory  text NOT NULL,         -- the manifest that the pass reads; empty: it lists the store
    kept       text NOT NULL,         -- JSON: the chunks of failed jobs that the pass has found so far
    ended_at   timestamptz            -- null: the pass is under way
);
CREATE POLICY of_all_tenants ON blob_scans USING ((SELECT sees_all_tenants()));
ALTER TABLE blob_scans ENABLE ROW LEVEL SECURITY;
ALTER TABLE blob_scans FORCE ROW LEVEL SECURITY;

-- safe: the previous version does not use the table; an installation may have other roles
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headrace_ingest') THEN
        REVOKE ALL ON blob_scans FROM headrace_ingest;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headrace_processor') THEN
        REVOKE DELETE ON blob_scans FROM headrace_processor;
    END IF;
END
$$;
