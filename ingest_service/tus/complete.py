"""Makes a job of a complete upload: concatenates its parts into the job's source and commits the job.

Any process may repeat this after a crash, and one job results: the job's id is stored first, and one row can have it.
Constant memory, one copy. The parts are deleted after the commit.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol
from uuid import UUID

from ingest_service.errors import IngestError
from ingest_service.quotas.quotas import QuotaGate
from ingest_service.request_record import Committing, note_accepted
from ingest_service.tus.upload_leases import Hold
from ingest_service.tus.upload_rows import Part, Upload, UploadRows
from ingest_service.uploads.job_submitter import AcceptedJob
from ingest_service.uploads.receive import Upload as WholeUpload
from ingest_service.uploads.receive import store_audio
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobStoreError
from shared.blobs.blob_store import BlobStore
from shared.failpoints import failpoint
from shared.telemetry.logs import Log

log = Log(__name__)


class CommitJob(Protocol):
    """Commits the job of a tenant's upload, of which the quotas count `reserved_bytes` already."""

    async def __call__(self, tenant: str, upload: WholeUpload, *, reserved_bytes: int) -> AcceptedJob: ...


Notify = Callable[..., None]  # gets dispatches


class UploadCompleter:
    """The last step of every resumable upload."""

    def __init__(
        self, blobs: BlobStore, rows: UploadRows, commit_job: CommitJob, notify: Notify, quotas: QuotaGate
    ) -> None:
        self._blobs = blobs
        self._rows = rows
        self._commit_job = commit_job
        self._notify = notify
        self._quotas = quotas

    async def complete(self, hold: Hold) -> None:
        """Make the upload a job, unless it is one.

        Raises RefusedError `unsupported_media`, LimitError, OutageError or BlobStoreError. It may then be repeated.
        """
        if hold.upload.is_completed:
            return
        job_id, is_committed = await self._choose_job(hold)
        if not is_committed:
            await self._compose_and_commit(hold.upload, job_id)
        failpoint("uploads.before_complete")
        hold.upload = await self._rows.complete(hold.upload)
        log.info("upload_completed", upload_id=hold.upload.id, job_id=job_id)
        await self.remove_parts(hold.upload)

    async def remove_parts(self, upload: Upload) -> None:
        """Delete the parts. After an error here, maintenance deletes them later."""
        try:
            await self._blobs.delete(blob_keys.upload(upload.id))
            await self._rows.remove_parts(upload)
        except (BlobStoreError, IngestError) as error:
            log.warning("parts_not_deleted", upload_id=upload.id, error=str(error))

    async def _choose_job(self, hold: Hold) -> tuple[UUID, bool]:
        job_id = hold.upload.job_id
        is_committed = await self._rows.job_is_committed(job_id) if job_id else False
        if job_id is None or is_committed is False:  # False: the orphan collector took the id
            job_id = self._blobs.new_id()
            hold.upload = await self._rows.choose_job(hold.upload, job_id)
        return job_id, is_committed is True

    async def _compose_and_commit(self, upload: Upload, job_id: UUID) -> None:
        size = upload.offset_bytes
        await self._quotas.precheck(
            upload.tenant, size, reserved_bytes=size
        )  # before the copy: every HEAD may get here
        options, parts = upload.submit_options(), await self._rows.parts(upload)
        audio = await store_audio(self._blobs, blob_keys.source(job_id), self._bytes_of(upload.id, parts))
        failpoint("uploads.after_compose")
        whole = WholeUpload(job_id=job_id, audio=audio, filename=upload.filename, options=options)
        with Committing():
            accepted = await self._commit_job(upload.tenant, whole, reserved_bytes=size)
        note_accepted(job_id)
        self._notify(*accepted.dispatches)

    async def _bytes_of(self, upload_id: UUID, parts: Sequence[Part]) -> AsyncIterator[bytes]:
        for part in parts:
            key = blob_keys.upload_part(upload_id, part.offset_bytes, part.lease_token)
            async for piece in self._blobs.read(key, 0, part.bytes):
                yield piece
