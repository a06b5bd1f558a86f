"""The changes of a job that both services make. Call them in a transaction that has locked the job's row."""

from typing import Any
from uuid import UUID

from shared.schemas.options import without_prompt
from shared.schemas.webhook_events import without_metadata

CANCEL_TASKS = """
    UPDATE tasks SET state = 'cancelled', finished_at = now(), lease_expires_at = NULL, not_before = NULL
    WHERE id IN (
        SELECT id FROM tasks
        WHERE job_id = $1 AND generation = $2 AND kind <> 'deliver'
            AND state IN ('dispatched', 'running', 'waiting')
        ORDER BY id FOR UPDATE)
"""
INSERT_EVENT = "INSERT INTO webhook_events (id, job_id, generation, type, body) VALUES ($1, $2, $3, $4, $5)"

ERASE_JOB = """
    UPDATE jobs SET erased_at = now(), metadata = NULL, filename = NULL, source_url = NULL, error_message = NULL,
        attach_key = NULL, options = $2
    WHERE id = $1 AND erased_at IS NULL
"""
DISMISS_TASKS = """
    UPDATE tasks SET dismissed_at = now() WHERE id IN (
        SELECT id FROM tasks WHERE job_id = $1 AND state = 'dead' AND dismissed_at IS NULL ORDER BY id FOR UPDATE)
"""
FORGET_UPLOAD = "UPDATE uploads SET metadata = NULL WHERE job_id = $1"  # the row of a resumable upload expires later
FORGET_EDITS = "DELETE FROM transcript_edits WHERE job_id = $1"
EVENTS = "SELECT id, body FROM webhook_events WHERE job_id = $1 ORDER BY id FOR UPDATE"
REWRITE_EVENT = "UPDATE webhook_events SET body = $2 WHERE id = $1"


async def erase_content(connection: Any, job_id: UUID, options_json: str) -> None:
    """Delete what the client sent with a job: the database keeps a tombstone. Blobs are not deleted here."""
    await connection.execute(ERASE_JOB, job_id, without_prompt(options_json))
    await connection.execute(FORGET_UPLOAD, job_id)
    await connection.execute(FORGET_EDITS, job_id)
    await connection.execute(DISMISS_TASKS, job_id)
    events = await connection.fetch(EVENTS, job_id)
    await connection.executemany(REWRITE_EVENT, [(event["id"], without_metadata(event["body"])) for event in events])
