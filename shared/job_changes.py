"""The changes of a job that both services make. Call them in a transaction that has locked the job's row."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from shared.schemas.options import has_results, without_prompt
from shared.schemas.webhook_events import without_metadata

CANCEL_TASKS = """
    UPDATE tasks SET state = 'cancelled', finished_at = now(), lease_expires_at = NULL, not_before = NULL
    WHERE job_id = $1 AND id IN (
        SELECT id FROM tasks
        WHERE job_id = $1 AND generation = $2 AND kind <> 'deliver'
            AND state IN ('dispatched', 'running', 'waiting')
        ORDER BY id FOR UPDATE)
"""
INSERT_EVENT = "INSERT INTO webhook_events (id, job_id, generation, type, body) VALUES ($1, $2, $3, $4, $5)"

ERASE_JOBS = """
    UPDATE jobs SET erased_at = now(), metadata = NULL, filename = NULL, source_url = NULL, error_message = NULL,
        attach_key = NULL, warnings = DEFAULT, options = erased.options::json
    FROM unnest($1::uuid[], $2::text[]) AS erased(id, options) WHERE jobs.id = erased.id AND erased_at IS NULL
"""
DISMISS_TASKS = """
    UPDATE tasks SET dismissed_at = now() WHERE job_id = ANY($1::uuid[]) AND id IN (
        SELECT id FROM tasks WHERE job_id = ANY($1::uuid[]) AND state = 'dead' AND dismissed_at IS NULL
        ORDER BY id FOR UPDATE)
"""
FORGET_UPLOADS = (
    "UPDATE uploads SET metadata = NULL WHERE job_id = ANY($1::uuid[])"  # the row of a resumable upload expires later
)
FORGET_EDITS = "DELETE FROM transcript_edits WHERE job_id = ANY($1::uuid[])"
FORGET_TEXTS = "DELETE FROM transcript_texts WHERE job_id = ANY($1::uuid[])"
IS_SEARCHABLE = '"searchable":true'  # in stored options
FORGET_HEADERS = (
    "DELETE FROM source_headers WHERE job_id = ANY($1::uuid[])"  # once the source is fetched or the job ended
)
FORGET_RESULTS = "DELETE FROM result_writes WHERE job_id = ANY($1::uuid[])"
EVENTS = "SELECT id, job_id, body FROM webhook_events WHERE job_id = ANY($1::uuid[]) ORDER BY id FOR UPDATE"
REWRITE_EVENTS = """
    UPDATE webhook_events SET body = rewritten.body
    FROM unnest($1::text[], $2::uuid[], $3::text[]) AS rewritten(id, job_id, body)
    WHERE webhook_events.id = rewritten.id AND webhook_events.job_id = rewritten.job_id
"""


async def erase_content(connection: Any, options_of: Mapping[UUID, str]) -> None:
    """Delete what the clients sent with these jobs: the database keeps tombstones. Blobs are not deleted here.

    `options_of`: each job's stored options.
    """
    ids = list(options_of)
    await connection.execute(ERASE_JOBS, ids, [without_prompt(options) for options in options_of.values()])
    for statement in (FORGET_UPLOADS, FORGET_EDITS, DISMISS_TASKS):
        await connection.execute(statement, ids)
    if searchable := [job_id for job_id, options in options_of.items() if IS_SEARCHABLE in options]:
        await connection.execute(FORGET_TEXTS, searchable)
    if with_results := [job_id for job_id, options in options_of.items() if has_results(options)]:
        await connection.execute(FORGET_RESULTS, with_results)
    if events := await connection.fetch(EVENTS, ids):
        bodies = [without_metadata(event["body"]) for event in events]
        columns = [event["id"] for event in events], [event["job_id"] for event in events], bodies
        await connection.execute(REWRITE_EVENTS, *columns)
