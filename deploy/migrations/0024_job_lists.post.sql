-- outside a transaction
-- Filters and counts of ended jobs read this index alone. A job is written to it once, when it ends; an insert is not.
-- A failed build leaves an invalid index.

DROP INDEX CONCURRENTLY IF EXISTS jobs_ended_of_tenant;
CREATE INDEX CONCURRENTLY IF NOT EXISTS jobs_ended_of_tenant ON jobs (tenant, id DESC)
    INCLUDE (status, created_at, speakers, warning_codes, error_code, filename)
    WHERE completed_at IS NOT NULL AND erased_at IS NULL;
