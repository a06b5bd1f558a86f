-- outside a transaction
-- The newest delivery attempts of a tenant, and those without a tenant. A failed build leaves an invalid index.

DROP INDEX CONCURRENTLY IF EXISTS webhook_attempts_of_tenant;
CREATE INDEX CONCURRENTLY IF NOT EXISTS webhook_attempts_of_tenant ON webhook_attempts (tenant, id DESC);

DROP INDEX CONCURRENTLY IF EXISTS webhook_attempts_without_tenant;
CREATE INDEX CONCURRENTLY IF NOT EXISTS webhook_attempts_without_tenant ON webhook_attempts (id) WHERE tenant IS NULL;
