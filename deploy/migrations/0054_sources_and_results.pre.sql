-- The headers of an `audio_url` and the results that are written to buckets and presigned URLs. Both tables hold rows of
-- the few jobs that ask for it, and are not partitioned: headers are erased when the job ends, results with the job.

CREATE TABLE source_headers (
    job_id  uuid PRIMARY KEY,
    tenant  text NOT NULL,
    sealed  text NOT NULL  -- shared/sealed.py
);
CREATE POLICY of_tenant ON source_headers USING ((SELECT sees_all_tenants())
    OR tenant = ANY ((SELECT seen_tenants())::text[]));
ALTER TABLE source_headers ENABLE ROW LEVEL SECURITY;
ALTER TABLE source_headers FORCE ROW LEVEL SECURITY;

CREATE TABLE result_writes (
    job_id    uuid NOT NULL,
    format    text NOT NULL,
    tenant    text NOT NULL,
    target    text,                        -- the URL; null once a presigned one was used
    shown     text NOT NULL,               -- its host, or its bucket
    state     text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'written', 'failed')),
    attempts  integer NOT NULL DEFAULT 0,  -- since the job was completed
    due_at    timestamptz,                 -- of the next attempt; null: the job is not completed, or all is done
    error     text,                        -- of the last attempt
    ended_at  timestamptz,
    PRIMARY KEY (job_id, format)
);
CREATE INDEX result_writes_due ON result_writes (due_at) WHERE due_at IS NOT NULL;
CREATE POLICY of_tenant ON result_writes USING ((SELECT sees_all_tenants())
    OR tenant = ANY ((SELECT seen_tenants())::text[]));
ALTER TABLE result_writes ENABLE ROW LEVEL SECURITY;
ALTER TABLE result_writes FORCE ROW LEVEL SECURITY;

-- The ingest stores headers and targets with the job, and reads neither; the processor uses them.
-- safe: the previous version does not use the tables; an installation may have other roles
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headrace_ingest') THEN
        REVOKE ALL ON source_headers, result_writes FROM headrace_ingest;
        GRANT INSERT, DELETE, SELECT (job_id) ON source_headers TO headrace_ingest;
        GRANT INSERT, DELETE, SELECT (job_id, tenant, format, shown, state, attempts, error, ended_at)
            ON result_writes TO headrace_ingest;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'headrace_processor') THEN
        REVOKE INSERT, UPDATE ON source_headers FROM headrace_processor;
        REVOKE INSERT ON result_writes FROM headrace_processor;
    END IF;
END
$$;
