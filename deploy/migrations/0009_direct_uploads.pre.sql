-- Uploads that clients put into the bucket by themselves, at a presigned URL: whose each is, and which job it became.
-- Whether its bytes are there the bucket alone knows.

CREATE TABLE direct_uploads (
    id          uuid PRIMARY KEY,
    tenant      text NOT NULL DEFAULT 'default',
    job_id      uuid,                          -- null: it is no job yet. Only once it becomes one
    created_at  timestamptz NOT NULL DEFAULT now() -- after a day it can become none, and its bytes are swept
);
CREATE INDEX direct_uploads_by_age ON direct_uploads (created_at);

-- The second wall between tenants, as around all else that belongs to one.
CREATE POLICY of_tenant ON direct_uploads USING ((SELECT sees_all_tenants())
    OR tenant = ANY ((SELECT seen_tenants())::text[]));
ALTER TABLE direct_uploads ENABLE ROW LEVEL SECURITY;
ALTER TABLE direct_uploads FORCE ROW LEVEL SECURITY;
