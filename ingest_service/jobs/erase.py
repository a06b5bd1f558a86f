"""Erase a job: delete the client's data and the results, and keep a tombstone.

The processor's maintenance deletes blobs that could not be deleted here, or that a running worker still wrote.
"""

import asyncio

from ingest_service.database import Database
from ingest_service.jobs.cancel import cancel_locked
from ingest_service.jobs.rows import has_ended, locked_job
from ingest_service.uploads.notify import DispatchNotifier
from shared.blobs.blob_errors import BlobStoreError
from shared.blobs.blob_store import BlobStore
from shared.blobs.erase_blobs import JOB_BLOBS, JobBlobs, erase_blobs, job_blobs
from shared.job_changes import erase_content
from shared.telemetry.logs import Log

log = Log(__name__)

DELETE_TIMEOUT_S = 10.0  # the blob store's client retries longer than an HTTP client waits

BLOBS = f"SELECT {JOB_BLOBS} FROM jobs WHERE id = $1"  # noqa: S608 - our own text


async def erase_job(database: Database, notifier: DispatchNotifier, blobs: BlobStore, tenant: str, job_id: str) -> None:
    """Erase a job. Cancel it first if it has not ended. Do nothing if it is erased. Raise RefusedError `not_found`."""
    async with locked_job(database, tenant, job_id, even_erased=True) as (connection, job):
        if job["erased_at"] is not None:
            return
        dispatches = () if has_ended(job) else await cancel_locked(connection, job)
        erased = job_blobs(await connection.fetchrow(BLOBS, job["id"]))
        await erase_content(connection, {job["id"]: job["options"]})
    notifier.notify_soon(*dispatches)
    notifier.job_changed(job["id"], tenant)
    log.info("job_erased", job_id=job["id"])
    await _delete_blobs(blobs, erased)


async def _delete_blobs(blobs: BlobStore, job: JobBlobs) -> None:
    until_s = asyncio.get_running_loop().time() + DELETE_TIMEOUT_S
    try:
        async with asyncio.timeout_at(until_s):
            left = await erase_blobs(blobs, [job], until_s=until_s)
            if job.job_id in left:
                raise left[job.job_id]
    except (BlobStoreError, TimeoutError) as error:
        log.warning("blobs_not_deleted", job_id=job.job_id, error=str(error) or type(error).__name__)
