"""The statements of `settle`, the only place that runs them. Each state change compares and sets."""

LOCK_JOB = "SELECT 1 FROM jobs WHERE id = $1 FOR UPDATE"

STILL_EXPIRED = """
SELECT 1 FROM tasks WHERE id = $1 AND lease_token = $2 AND state = 'running' AND lease_expires_at < now() FOR UPDATE
"""

LEAVE_RUNNING = """
UPDATE tasks SET state = $3, lease_expires_at = NULL, leased_by = NULL,
    progress = CASE WHEN $3 = 'done' THEN 1 ELSE 0 END,
    finished_at = CASE WHEN $3 IN ('done', 'dead') THEN now() END
WHERE id = $1 AND lease_token = $2 AND state = 'running'
"""

RECORD_FAILURE = """
UPDATE tasks SET failure = $2, attempts = attempts + $3, crashes = crashes + $4,
    first_failed_at = coalesce(first_failed_at, now()), last_failed_at = now()
WHERE id = $1
"""

WAIT = "UPDATE tasks SET not_before = now() + make_interval(secs => $2) WHERE id = $1"

REDISPATCH = "UPDATE tasks SET dispatch_no = dispatch_no + 1, dispatched_at = now() WHERE id = $1 RETURNING dispatch_no"

# The seconds count as used once: a job that is prepared again, or redriven, had its duration before.
RECORD_AUDIO = """
WITH unknown AS (SELECT tenant FROM jobs WHERE id = $1 AND duration_s IS NULL),
recorded AS (
    UPDATE jobs SET duration_s = $2, sample_rate_hz = $3, channels = $4, codec = $5 WHERE id = $1
)
INSERT INTO tenant_usage AS used (tenant, day, shard, audio_s)
SELECT tenant, usage_day(), usage_shard(), $2 FROM unknown
ON CONFLICT (tenant, day, shard) DO UPDATE SET audio_s = used.audio_s + excluded.audio_s
"""

START_CHUNKS = """
UPDATE jobs SET stage = 'transcribe', chunk_count = $2, chunks_done = 0, warnings = $3, chunk_generation = generation
WHERE id = $1
"""

COUNT_CHUNK = """
UPDATE jobs SET chunks_done = chunks_done + 1,
    stage = CASE WHEN chunks_done + 1 = chunk_count THEN 'finish' ELSE stage END
WHERE id = $1 RETURNING chunks_done = chunk_count AS last
"""

CONCLUDE_ATTEMPT = """
UPDATE webhook_attempts SET duration_ms = $2, status = $3, error = $4, answer = $5,
    next_attempt_at = (SELECT not_before FROM tasks WHERE id = task_id AND state = 'waiting')
WHERE id = $1
"""

CANCEL_SIBLINGS = """
UPDATE tasks SET state = 'cancelled', finished_at = now(), lease_expires_at = NULL, not_before = NULL
WHERE id IN (
    SELECT id FROM tasks
    WHERE job_id = $1 AND generation = $2 AND kind <> 'deliver'
        AND state IN ('pending', 'dispatched', 'running', 'waiting')
    ORDER BY id FOR UPDATE)
"""
