"""The statements of `settle`, the only place that runs them. Each state change compares and sets."""

LOCK_JOB = "SELECT 1 FROM jobs WHERE id = $1 FOR UPDATE"

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
RETURNING attempts, crashes, first_failed_at, last_failed_at
"""

WAIT = "UPDATE tasks SET not_before = now() + make_interval(secs => $2) WHERE id = $1"

REDISPATCH = "UPDATE tasks SET dispatch_no = dispatch_no + 1, dispatched_at = now() WHERE id = $1 RETURNING dispatch_no"

INSERT_TASK = "INSERT INTO tasks (id, job_id, generation, kind, ordinal, input) VALUES ($1, $2, $3, $4, $5, $6)"

RECORD_AUDIO = """
UPDATE jobs SET duration_s = $2, sample_rate_hz = $3, channels = $4, codec = $5 WHERE id = $1
"""

START_CHUNKS = "UPDATE jobs SET stage = 'transcribe', chunk_count = $2, warnings = $3 WHERE id = $1"

COUNT_CHUNK = """
UPDATE jobs SET chunks_done = chunks_done + 1,
    stage = CASE WHEN chunks_done + 1 = chunk_count THEN 'finish' ELSE stage END
WHERE id = $1 RETURNING chunks_done = chunk_count AS last
"""

END_JOB = """
UPDATE jobs SET status = $2, completed_at = now(), error_code = $3, error_message = $4,
    stage = coalesce($5, stage), warnings = coalesce($6, warnings)
WHERE id = $1 AND status = 'PROCESSING'
RETURNING webhook_url IS NOT NULL AS wants_webhook
"""

CANCEL_SIBLINGS = """
UPDATE tasks SET state = 'cancelled', finished_at = now() WHERE id IN (
    SELECT id FROM tasks
    WHERE job_id = $1 AND generation = $2 AND kind <> 'deliver'
        AND state IN ('pending', 'dispatched', 'running', 'waiting')
    ORDER BY id FOR UPDATE)
"""
