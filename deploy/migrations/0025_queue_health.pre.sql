-- outside a transaction
-- What `GET /v1/queue` reads: the waiting tasks of started jobs, and the jobs of a tenant that ended lately. No upload
-- writes these indexes. A failed build leaves an invalid index.

DROP INDEX CONCURRENTLY IF EXISTS tasks_of_started_jobs;
CREATE INDEX CONCURRENTLY IF NOT EXISTS tasks_of_started_jobs ON tasks (job_id)
    WHERE state = 'dispatched' AND kind IN ('chunk', 'finish');

DROP INDEX CONCURRENTLY IF EXISTS jobs_ended;
CREATE INDEX CONCURRENTLY IF NOT EXISTS jobs_ended ON jobs (tenant, completed_at) INCLUDE (status, duration_s)
    WHERE completed_at IS NOT NULL;
