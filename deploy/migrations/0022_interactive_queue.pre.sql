-- outside a transaction
-- The job of an equal request, and the queued jobs that clients wait for. A failed build leaves an invalid index.

DROP INDEX CONCURRENTLY IF EXISTS jobs_to_attach;
CREATE INDEX CONCURRENTLY IF NOT EXISTS jobs_to_attach ON jobs (tenant, attach_key, id DESC) WHERE attach_key IS NOT NULL;

DROP INDEX CONCURRENTLY IF EXISTS jobs_interactive_queue;
CREATE INDEX CONCURRENTLY IF NOT EXISTS jobs_interactive_queue ON jobs (tenant, id) INCLUDE (source_bytes)
    WHERE status = 'QUEUED' AND interactive;
