-- What counts towards a tenant's quotas before its size or length is known: open uploads, and jobs that are not decoded.
-- outside a transaction

CREATE INDEX CONCURRENTLY IF NOT EXISTS uploads_without_job_of_tenant ON uploads (tenant) WHERE completed_at IS NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS direct_uploads_without_job_of_tenant ON direct_uploads (tenant, created_at)
    WHERE job_id IS NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS jobs_undecoded_of_tenant ON jobs (tenant)
    WHERE status = 'PROCESSING' AND duration_s IS NULL;
