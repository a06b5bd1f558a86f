"""Accepts an upload: audio into the blob store, then the job and its first task into Postgres in one commit.

The 202 may be sent once this returns. Rings no bell: that comes after the commit and may fail.
"""

import asyncio
from uuid import UUID

import asyncpg
import msgspec
from litestar.types import Receive

from ingest_service.database import Database
from ingest_service.errors import CommitUnknownError, OutageError
from ingest_service.receive_upload import Upload, UploadHead, UploadReceiver
from ingest_service.record_jobs import JobRecorder, JobRow
from shared.blob_store import BlobStore, BlobStoreError
from shared.ids import new_id
from shared.logs import Log
from shared.messages import Dispatch
from shared.states import TaskKind

log = Log(__name__)


class AcceptedJob(msgspec.Struct, frozen=True):
    """A committed job, and its first task, for which the bell is rung."""

    job_id: UUID
    first_task: Dispatch


class JobSubmitter:
    """The use case of every way to hand in audio."""

    def __init__(self, database: Database, blobs: BlobStore, max_upload_bytes: int) -> None:
        self.recorder = JobRecorder(database)
        self._blobs = blobs
        self._max_upload_bytes = max_upload_bytes

    async def submit(self, tenant: str, head: UploadHead, receive: Receive) -> AcceptedJob:
        """Receive and record one upload.

        Raises IngestError or BlobStoreError, and then has left neither a blob nor a row (but see CommitUnknownError).
        """
        receiver = UploadReceiver(self._blobs, new_id(), self._max_upload_bytes)
        try:
            upload = await receiver.receive(head, receive)
            return await record_job(self.recorder, tenant, upload)
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


async def record_job(recorder: JobRecorder, tenant: str, upload: Upload) -> AcceptedJob:
    """Commit the job and its `prepare` task. Raises OutageError, then nothing is recorded, or CommitUnknownError."""
    row = _row(tenant, upload)
    try:
        await recorder.record(row)
    except (
        asyncpg.UniqueViolationError
    ) as error:  # the collector of orphans has it: this process stood still for so long
        raise OutageError("storage_unavailable", "The upload took too long to record; send it again.") from error
    return AcceptedJob(row.job_id, Dispatch(row.task_id, 1, TaskKind.PREPARE))


def _row(tenant: str, upload: Upload) -> JobRow:
    options, audio = upload.options, upload.audio
    metadata = None if options.metadata is None else msgspec.json.encode(options.metadata).decode()
    return JobRow(
        job_id=upload.job_id,
        tenant=tenant,
        options_json=msgspec.json.encode(options.job_options()).decode(),
        metadata_json=metadata,
        webhook_url=options.webhook_url,
        webhook_secret=options.webhook_secret,
        filename=upload.filename,
        container=audio.container,
        source_bytes=audio.bytes,
        source_sha256=audio.sha256,
        task_id=new_id(),
    )
