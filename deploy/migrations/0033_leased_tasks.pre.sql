-- outside a transaction
-- Replaces tasks_running: a heartbeat changes no column of this index, so that it updates a row within its page (HOT).
-- A failed build leaves an invalid index.

DROP INDEX CONCURRENTLY IF EXISTS tasks_leased;
CREATE INDEX CONCURRENTLY IF NOT EXISTS tasks_leased ON tasks (id) WHERE state = 'running';
