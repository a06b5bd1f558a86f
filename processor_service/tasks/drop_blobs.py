"""Delete the blobs that nothing reads after an outcome. What cannot be deleted now is collected later."""

import contextlib

import asyncpg

from processor_service.database import DATABASE_ERRORS
from processor_service.errors import TaskError
from processor_service.maintenance.failed_chunks import forget_chunks
from processor_service.stages.redact import originals_of
from processor_service.tasks.claim import ClaimedTask
from processor_service.tasks.leases import Leases
from processor_service.tasks.outcomes import JobDone, Outcome, Transcribed
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobStoreError
from shared.blobs.blob_store import BlobStore
from shared.failpoints import failpoint
from shared.schemas.states import TaskKind


async def return_space(leases: Leases, blobs: BlobStore, task: ClaimedTask) -> None:
    """Delete the chunks that this attempt has stored: the next attempt writes them again, and the disk is full."""
    with contextlib.suppress(TaskError, BlobStoreError, *DATABASE_ERRORS):
        await leases.confirm(task)
        await blobs.delete(blob_keys.chunks(task.job_id, task.generation))


async def drop_unread(
    database: asyncpg.Pool, blobs: BlobStore, task: ClaimedTask, outcome: Outcome, *, has_failed: bool
) -> None:
    """Delete the chunks that no task will read, and what of a redacted job clients must not get.

    `has_failed`: the task is a dead letter now.
    """
    is_text_done = isinstance(outcome, JobDone | Transcribed) and task.kind is not TaskKind.SUMMARIZE
    if is_text_done or (task.kind is TaskKind.PREPARE and has_failed):
        await _drop_chunks(blobs, task)
    if task.options.redact:
        await _drop_originals(database, blobs, task, outcome, has_failed=has_failed)


async def _drop_chunks(blobs: BlobStore, task: ClaimedTask) -> None:
    failpoint("finish.before_drop_chunks")
    with contextlib.suppress(BlobStoreError):
        for generation in range(1, task.generation + 1):
            await blobs.delete(blob_keys.chunks(task.job_id, generation))


async def _drop_originals(
    database: asyncpg.Pool, blobs: BlobStore, task: ClaimedTask, outcome: Outcome, *, has_failed: bool
) -> None:
    """Delete the source of a job that ended, and the text in the chunks of one that failed."""
    with contextlib.suppress(BlobStoreError, *DATABASE_ERRORS):
        if isinstance(outcome, JobDone):
            failpoint("redact.before_drop_originals")
            await blobs.delete_keys(originals_of(task))
        elif has_failed and task.kind is not TaskKind.DELIVER:
            await forget_chunks(database, blobs, [task.job_id])
