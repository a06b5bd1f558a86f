"""Accepts an upload: audio into the blob store, then the job and its first task into Postgres in one commit.

The 202 may be sent once this returns. Rings no bell: that comes after the commit and may fail.
"""

import asyncio
from uuid import UUID

import asyncpg
import msgspec
from litestar.types import Receive

from ingest_service.database import Database
from ingest_service.errors import OutageError
from ingest_service.free_space import FreeSpace
from ingest_service.receive_upload import Upload, UploadHead, UploadReceiver
from shared.blob_store import BlobStore, BlobStoreError
from shared.failpoints import failpoint
from shared.ids import new_id
from shared.logs import Log
from shared.messages import Dispatch
from shared.states import TaskKind

log = Log(__name__)

INSERT_JOB_AND_FIRST_TASK = """
    WITH job AS (
        INSERT INTO jobs (id, tenant, options, metadata, webhook_url, webhook_secret,
                          filename, container, source_bytes, source_sha256)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        RETURNING id
    )
    INSERT INTO tasks (id, job_id, kind, state, dispatch_no) SELECT $11, id, 'prepare', 'dispatched', 1 FROM job
"""


class CommitUnknownError(OutageError):
    """Something broke between COMMIT and its answer: the job may exist, so its audio must stay."""


class AcceptedJob(msgspec.Struct, frozen=True):
    """A committed job, and its first task, for which the bell is rung."""

    job_id: UUID
    first_task: Dispatch


class JobSubmitter:
    """The use case of every way to hand in audio."""

    def __init__(self, database: Database, blobs: BlobStore, free_space: FreeSpace, max_upload_bytes: int) -> None:
        self._database = database
        self._blobs = blobs
        self._free_space = free_space
        self._max_upload_bytes = max_upload_bytes

    async def submit(self, tenant: str, head: UploadHead, receive: Receive) -> AcceptedJob:
        """Receive and record one upload.

        Raises IngestError or BlobStoreError, and then has left neither a blob nor a row (but see CommitUnknownError).
        """
        await self._free_space.require(min(head.content_length or 0, self._max_upload_bytes))
        receiver = UploadReceiver(self._blobs, new_id(), self._max_upload_bytes)
        try:
            upload = await receiver.receive(head, receive)
            return await record_job(self._database, tenant, upload)
        except CommitUnknownError:
            raise
        except BaseException:  # a cancelled request must not leave its audio either
            await asyncio.shield(_discard(receiver))
            raise


async def _discard(receiver: UploadReceiver) -> None:
    try:
        await receiver.discard()
    except BlobStoreError as error:  # the first error is the one to tell
        log.warning("discard_failed", error=str(error))


async def record_job(database: Database, tenant: str, upload: Upload) -> AcceptedJob:
    """Commit the job and its `prepare` task. Raises OutageError, then nothing is recorded, or CommitUnknownError."""
    task_id = new_id()
    committing = False  # from then on it is open whether the job exists, until COMMIT is answered
    try:
        async with database.connection() as connection:
            async with connection.transaction():
                await connection.execute(INSERT_JOB_AND_FIRST_TASK, *_columns(tenant, upload), task_id)
                failpoint("submit.before_commit")
                committing = True
            failpoint("submit.after_commit")
    except (
        asyncpg.UniqueViolationError
    ) as error:  # the collector of orphans has it: this process stood still for so long
        raise OutageError("storage_unavailable", "The upload took too long to record; send it again.") from error
    except (OutageError, asyncio.CancelledError) as error:
        if not committing:
            raise
        log.warning("commit_unknown", job_id=str(upload.job_id))
        raise CommitUnknownError("database_unavailable", "The database is away; try again later.") from error
    return AcceptedJob(upload.job_id, Dispatch(task_id, 1, TaskKind.PREPARE))


def _columns(tenant: str, upload: Upload) -> tuple[UUID | str | int | None, ...]:
    options, audio = upload.options, upload.audio
    metadata = None if options.metadata is None else msgspec.json.encode(options.metadata).decode()
    return (
        upload.job_id,
        tenant,
        msgspec.json.encode(options.job_options()).decode(),
        metadata,
        options.webhook_url,
        options.webhook_secret,
        upload.filename,
        audio.container,
        audio.bytes,
        audio.sha256,
    )
