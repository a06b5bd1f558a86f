-- What KEDA may read of the backlog: these columns and no others. Run once, by the tables' owner or a superuser, after the
-- first migration; then: ALTER ROLE headrace_scaler PASSWORD '…'

GRANT USAGE ON SCHEMA public TO headrace_scaler;
GRANT SELECT (id, duration_s, source_bytes, chunk_count, chunks_done, erased_at, blobs_erased_at, queue) ON jobs TO headrace_scaler;
GRANT SELECT (job_id, kind, state, not_before) ON tasks TO headrace_scaler;
GRANT SELECT (parts_removed_at, ended_at, completed_at, expires_at) ON uploads TO headrace_scaler;

-- It counts what waits of all tenants, whom row-level security keeps apart.
CREATE POLICY of_scaler ON jobs FOR SELECT TO headrace_scaler USING (true);
CREATE POLICY of_scaler ON tasks FOR SELECT TO headrace_scaler USING (true);
CREATE POLICY of_scaler ON uploads FOR SELECT TO headrace_scaler USING (true);
