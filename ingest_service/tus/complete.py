"""Makes a job of an upload whose bytes are all there: composes its parts into the job's source, and records the job.

May be done again after every crash, by any process, and makes one job: its id is chosen and kept first, and only one
row can have it. Constant memory, one copy; the parts go when the job is recorded.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from uuid import UUID

from ingest_service.errors import IngestError
from ingest_service.request_record import committing, note_accepted
from ingest_service.tus.leases import Hold
from ingest_service.tus.records import UploadRecords
from ingest_service.tus.upload import Part, Upload
from ingest_service.uploads.receive import Upload as WholeUpload
from ingest_service.uploads.receive import store_audio
from ingest_service.uploads.submit import AcceptedJob
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobStoreError
from shared.blobs.blob_store import BlobStore
from shared.failpoints import failpoint
from shared.ids import new_id
from shared.queue.dispatch import Dispatch
from shared.telemetry.logs import Log

log = Log(__name__)

RecordJob = Callable[[str, WholeUpload], Awaitable[AcceptedJob]]  # a tenant's upload; returns when it is committed
Ring = Callable[[Dispatch], None]
Glance = Callable[[str, int], Awaitable[None]]  # raises LimitError when so many bytes of a tenant are too much


class UploadCompleter:
    """The last step of every resumable upload."""

    def __init__(
        self, blobs: BlobStore, records: UploadRecords, record_job: RecordJob, ring: Ring, glance: Glance
    ) -> None:
        self._blobs = blobs
        self._records = records
        self._record_job = record_job
        self._ring = ring
        self._glance = glance

    async def complete(self, hold: Hold) -> None:
        """Make the held upload's job, unless it is there.

        Raises RefusedError `unsupported_media`, LimitError, OutageError or BlobStoreError; then ask again.
        """
        if hold.upload.is_completed:
            return
        job_id, is_recorded = await self._choose_job(hold)
        if not is_recorded:
            await self._compose_and_record(hold.upload, job_id)
        failpoint("uploads.before_complete")
        hold.upload = await self._records.complete(hold.upload)
        log.info("upload_completed", upload_id=hold.upload.id, job_id=job_id)
        await self.remove_parts(hold.upload)

    async def remove_parts(self, upload: Upload) -> None:
        """Free their room. What fails here, the processor does later."""
        try:
            await self._blobs.delete(blob_keys.upload(upload.id))
            await self._records.parts_are_removed(upload)
        except (BlobStoreError, IngestError) as error:
            log.warning("parts_not_deleted", upload_id=upload.id, error=str(error))

    async def _choose_job(self, hold: Hold) -> tuple[UUID, bool]:
        job_id = hold.upload.job_id
        fate = await self._records.is_recorded(job_id) if job_id else False
        if job_id is None or fate is False:  # somebody else has the id: a collector of orphans, who was asked too late
            job_id = new_id()
            hold.upload = await self._records.choose_job(hold.upload, job_id)
        return job_id, fate is True

    async def _compose_and_record(self, upload: Upload, job_id: UUID) -> None:
        await self._glance(upload.tenant, upload.offset_bytes)  # else every HEAD would copy it for nothing
        parts = await self._records.parts(upload)
        audio = await store_audio(self._blobs, blob_keys.source(job_id), self._bytes_of(upload.id, parts))
        failpoint("uploads.after_compose")
        whole = WholeUpload(job_id=job_id, audio=audio, filename=upload.filename, options=upload.submit_options())
        with committing():
            accepted = await self._record_job(upload.tenant, whole)
        note_accepted(job_id)
        self._ring(accepted.first_task)

    async def _bytes_of(self, upload_id: UUID, parts: Sequence[Part]) -> AsyncIterator[bytes]:
        for part in parts:
            key = blob_keys.upload_part(upload_id, part.offset_bytes, part.lease_token)
            async for piece in self._blobs.read(key, 0, part.bytes):
                yield piece
