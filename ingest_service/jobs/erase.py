"""Erase a job: delete the client's data and the results, and keep a tombstone.

The processor's maintenance deletes blobs that could not be deleted here, or that a running worker still wrote.
"""

import asyncio
from typing import Any
from uuid import UUID

from ingest_service.database import Database
from ingest_service.jobs.cancel import cancel_locked
from ingest_service.jobs.rows import has_ended, locked_job
from ingest_service.uploads.notify import DispatchNotifier
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobStoreError
from shared.blobs.blob_store import BlobStore
from shared.schemas.options import without_prompt
from shared.schemas.webhook_events import without_metadata
from shared.telemetry.logs import Log

log = Log(__name__)

DELETE_TIMEOUT_S = 10.0  # the blob store's client retries longer than an HTTP client waits

ERASE_JOB = """
    UPDATE jobs SET erased_at = now(), metadata = NULL, filename = NULL, source_url = NULL, error_message = NULL,
        options = $2
    WHERE id = $1 AND erased_at IS NULL
"""
DISMISS_TASKS = """
    UPDATE tasks SET dismissed_at = now() WHERE id IN (
        SELECT id FROM tasks WHERE job_id = $1 AND state = 'dead' AND dismissed_at IS NULL ORDER BY id FOR UPDATE)
"""
FORGET_UPLOAD = (
    "UPDATE uploads SET metadata = NULL WHERE job_id = $1"  # a resumable upload's row exists until it expires
)
EVENTS = "SELECT id, body FROM webhook_events WHERE job_id = $1 ORDER BY id FOR UPDATE"
REWRITE_EVENT = "UPDATE webhook_events SET body = $2 WHERE id = $1"


async def erase_job(database: Database, notifier: DispatchNotifier, blobs: BlobStore, tenant: str, job_id: str) -> None:
    """Erase a job. Cancel it first if it has not ended. Do nothing if it is erased. Raise RefusedError `not_found`."""
    async with locked_job(database, tenant, job_id, even_erased=True) as (connection, job):
        if job["erased_at"] is not None:
            return
        dispatches = () if has_ended(job) else await cancel_locked(connection, job)
        await _erase_content(connection, job)
    notifier.notify_soon(*dispatches)
    log.info("job_erased", job_id=job["id"])
    await _delete_blobs(blobs, job["id"])


async def _erase_content(connection: Any, job: Any) -> None:
    await connection.execute(ERASE_JOB, job["id"], without_prompt(job["options"]))
    await connection.execute(FORGET_UPLOAD, job["id"])
    await connection.execute(DISMISS_TASKS, job["id"])
    events = await connection.fetch(EVENTS, job["id"])
    await connection.executemany(REWRITE_EVENT, [(event["id"], without_metadata(event["body"])) for event in events])


async def _delete_blobs(blobs: BlobStore, job_id: UUID) -> None:
    try:
        async with asyncio.timeout(DELETE_TIMEOUT_S):
            await blobs.delete(blob_keys.job(job_id))
    except (BlobStoreError, TimeoutError) as error:
        log.warning("blobs_not_deleted", job_id=job_id, error=str(error) or type(error).__name__)
