-- outside a transaction
-- Reading a job or a page of jobs costs the same however many jobs are queued. A failed build leaves an invalid index.

DROP INDEX CONCURRENTLY IF EXISTS jobs_queue_of_tenant;
-- The next jobs of a tenant, and the sums of all queues, without the table.
CREATE INDEX CONCURRENTLY IF NOT EXISTS jobs_queue_of_tenant ON jobs (tenant, id) INCLUDE (source_bytes) WHERE status = 'QUEUED';

DROP INDEX CONCURRENTLY IF EXISTS jobs_started_of_tenant;
-- Pages of one status do not read the queue. An insert does not write this index.
CREATE INDEX CONCURRENTLY IF NOT EXISTS jobs_started_of_tenant ON jobs (tenant, status, id DESC)
    WHERE status <> 'QUEUED' AND erased_at IS NULL;
