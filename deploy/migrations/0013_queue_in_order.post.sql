-- outside a transaction
-- Replaced by jobs_queue_of_tenant.

DROP INDEX CONCURRENTLY IF EXISTS jobs_queued_of_tenant;
