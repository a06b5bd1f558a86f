"""The statements with which a task leaves a processor: LEFT, and what each outcome writes beside it.

Every statement locks the job first, then tasks by id, so that chunks that finish at the same moment never deadlock. The
statement that ends a job also writes its webhook event.
"""

from shared.schemas.webhook_events import TARGETS

# The CTE `task` is empty when the lease is lost, and for an erased job unless $11 is true: then nothing is written.
LEFT = """
job AS (
    SELECT erased_at IS NOT NULL AS is_erased, tenant, source_bytes FROM jobs WHERE id = $1 FOR UPDATE
), task AS (
    UPDATE tasks SET state = $4, lease_expires_at = NULL, leased_by = NULL,
        progress = CASE WHEN $4 = 'done' THEN 1 ELSE 0 END,
        finished_at = CASE WHEN $4 IN ('done', 'dead') THEN now() END,
        failure = coalesce($5::json, failure), attempts = attempts + $6, crashes = crashes + $7,
        first_failed_at = CASE WHEN $5::json IS NULL THEN first_failed_at ELSE coalesce(first_failed_at, now()) END,
        last_failed_at = CASE WHEN $5::json IS NULL THEN last_failed_at ELSE now() END,
        not_before = now() + make_interval(secs => $8),
        dispatch_no = dispatch_no + CASE WHEN $4 = 'dispatched' THEN 1 ELSE 0 END,
        dispatched_at = CASE WHEN $4 = 'dispatched' THEN now() ELSE dispatched_at END,
        engine = coalesce($9, engine), model = coalesce($10, model),
        started_at = CASE WHEN $13 THEN NULL ELSE started_at END
    WHERE id = $2 AND job_id = $1 AND lease_token = $3 AND state = 'running' AND (NOT $12 OR lease_expires_at < now())
        AND EXISTS (SELECT FROM job WHERE $11 OR NOT is_erased)
    RETURNING dispatch_no, not_before
)
"""
# The body of the event contains the time of the database. The ids of its deliveries differ in their last two digits.
ENDED = f"""
ended AS (
    UPDATE jobs SET status = $15, completed_at = now(), error_code = $16, error_message = $17,
        stage = coalesce($18, stage), warnings = coalesce($19, warnings), warning_codes = coalesce($20, warning_codes),
        speakers = CASE WHEN $15 = 'COMPLETED' THEN $21 ELSE speakers END
    WHERE id = $1 AND generation = $14 AND status = 'PROCESSING' AND EXISTS (SELECT FROM task)
    RETURNING webhook_url, webhooks, tenant, status, completed_at AT TIME ZONE 'UTC' AS ended_at,
        coalesce(metadata::text, 'null') AS metadata
), targets AS (
    SELECT to_one.target, row_number() OVER () - 1 AS ordinal FROM ended, LATERAL {TARGETS} AS to_one
), event AS (
    INSERT INTO webhook_events (id, job_id, generation, type, body)
    SELECT $22, $1, $14, $23,
        $24::text || to_char(ended_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || $25::text || metadata || $26::text
    FROM ended WHERE EXISTS (SELECT FROM targets)
), delivery AS (
    INSERT INTO tasks (id, job_id, generation, kind, ordinal, input)
    SELECT overlay($27::uuid::text PLACING lpad(to_hex(ordinal), 2, '0') FROM 35)::uuid, $1, $14, 'deliver', ordinal,
        CASE target WHEN '' THEN $28::json ELSE json_build_object('event_id', $22::text || '_' || target) END
    FROM targets RETURNING id, ordinal
)
"""  # noqa: S608 - constants

STATE = "(SELECT is_erased FROM job), (SELECT dispatch_no FROM task)"

LEAVE = f"WITH {LEFT} SELECT {STATE}, true AS follows"
DELIVERIES = "ARRAY(SELECT id FROM delivery ORDER BY ordinal) AS deliveries"
END_JOB = f"WITH {LEFT}, {ENDED} SELECT {STATE}, true AS follows, {DELIVERIES}"

# Of a job with `results_to`: its results are written from now on. A presigned URL that was used is no target any more.
END_JOB_THEN_RESULTS = f"""
WITH {LEFT}, {ENDED}, results AS (
    UPDATE result_writes SET state = 'waiting', attempts = 0, due_at = now(), error = NULL, ended_at = NULL
    WHERE job_id = $1 AND target IS NOT NULL AND EXISTS (SELECT FROM ended)
)
SELECT {STATE}, true AS follows, {DELIVERIES}
"""  # noqa: S608 - constants

# The bytes count towards the quota when they are first known.
FETCH = f"""
WITH {LEFT}, recorded AS (
    UPDATE jobs SET container = $14, source_bytes = $15, source_sha256 = $16
    WHERE id = $1 AND EXISTS (SELECT FROM task)
), counted AS (
    INSERT INTO tenant_usage AS used (tenant, day, shard, bytes)
    SELECT tenant, usage_day(), usage_shard(), $15 FROM job WHERE source_bytes IS NULL AND EXISTS (SELECT FROM task)
    ON CONFLICT (tenant, day, shard) DO UPDATE SET bytes = used.bytes + excluded.bytes
)
SELECT {STATE}, true AS follows
"""  # noqa: S608 - constants

SPLIT = f"""
WITH {LEFT}, split AS (
    UPDATE jobs SET stage = 'transcribe', chunk_count = cardinality($15::uuid[]), chunks_done = 0, warnings = $17,
        warning_codes = $18, chunk_generation = generation
    WHERE id = $1 AND EXISTS (SELECT FROM task)
), chunks AS (
    INSERT INTO tasks (id, job_id, generation, kind, ordinal, input)
    SELECT chunk.id, $1, $14, 'chunk', chunk.position - 1, chunk.input::json
    FROM unnest($15::uuid[], $16::text[]) WITH ORDINALITY AS chunk(id, input, position) WHERE EXISTS (SELECT FROM task)
)
SELECT {STATE}, true AS follows
"""  # noqa: S608 - constants

SUMMARIZE = f"""
WITH {LEFT}, transcribed AS (
    UPDATE jobs SET stage = 'summarize', warnings = $15, warning_codes = $16
    WHERE id = $1 AND EXISTS (SELECT FROM task)
), summarize AS (
    INSERT INTO tasks (id, job_id, generation, kind, input) SELECT $17, $1, $14, 'summarize', $18
    WHERE EXISTS (SELECT FROM task)
)
SELECT {STATE}, true AS follows
"""  # noqa: S608 - constants

# The last chunk to end adds the task that merges all.
COUNT_CHUNK = f"""
WITH {LEFT}, counted AS (
    UPDATE jobs SET chunks_done = chunks_done + 1,
        stage = CASE WHEN chunks_done + 1 = chunk_count THEN 'finish' ELSE stage END
    WHERE id = $1 AND EXISTS (SELECT FROM task) RETURNING chunks_done = chunk_count AS is_last
), finish AS (
    INSERT INTO tasks (id, job_id, generation, kind) SELECT $15, $1, $14, 'finish' FROM counted WHERE is_last
    RETURNING id
)
SELECT {STATE}, EXISTS (SELECT FROM finish) AS follows
"""  # noqa: S608 - constants

COMPLETE_ATTEMPT = f"""
WITH {LEFT}, attempt AS (
    UPDATE webhook_attempts SET duration_ms = $15, status = $16, error = $17, answer = $18,
        next_attempt_at = (SELECT not_before FROM task)
    WHERE id = $14 AND EXISTS (SELECT FROM task)
)
SELECT {STATE}, true AS follows
"""  # noqa: S608 - constants

# An endpoint's row changes only with the first failure, the first delivery after it, and the pause.
COMPLETE_ENDPOINT_ATTEMPT = f"""
WITH {LEFT}, attempt AS (
    UPDATE webhook_attempts SET duration_ms = $15, status = $16, error = $17, answer = $18,
        next_attempt_at = (SELECT not_before FROM task)
    WHERE id = $14 AND EXISTS (SELECT FROM task)
), recovered AS (
    UPDATE webhook_endpoints SET failing_since = NULL
    WHERE id = $19 AND $20::bool AND failing_since IS NOT NULL AND EXISTS (SELECT FROM task)
), failed AS (
    UPDATE webhook_endpoints SET failing_since = coalesce(failing_since, now()),
        paused_at = CASE WHEN $21 OR failing_since < now() - make_interval(secs => $22) THEN now() END,
        paused_reason = CASE WHEN $21 OR failing_since < now() - make_interval(secs => $22) THEN $23 END
    WHERE id = $19 AND NOT $20::bool AND paused_at IS NULL AND EXISTS (SELECT FROM task)
        AND (failing_since IS NULL OR $21 OR failing_since < now() - make_interval(secs => $22))
    RETURNING paused_at
)
SELECT {STATE}, true AS follows, EXISTS (SELECT FROM failed WHERE paused_at IS NOT NULL) AS is_paused
"""  # noqa: S608 - constants
