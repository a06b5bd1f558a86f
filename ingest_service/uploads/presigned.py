"""Makes a job of audio that its client has put into the bucket by itself.

The bucket copies it to the job's own key, and that copy is judged: the client's URL may be good for a while yet, and
what it puts there meanwhile must change neither what was counted nor a job. Its sha256 is `prepare`'s to find out.
"""

import asyncio
from typing import Any
from uuid import UUID

import msgspec

from ingest_service.database import Database
from ingest_service.errors import CommitUnknownError, RefusedError
from ingest_service.quotas.quota_gate import QuotaGate, Wanted
from ingest_service.request_record import committing
from ingest_service.uploads.body import too_large
from ingest_service.uploads.commit_job import AlsoCommit, commit_job
from ingest_service.uploads.fingerprint import fingerprint
from ingest_service.uploads.job_rows import INSERT_JOBS_AND_FIRST_TASKS, JobRow, columns_of, first_task, job_row
from ingest_service.uploads.records import DirectUploadRecords, claim
from ingest_service.uploads.store_audio import container_of
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobNotFoundError, BlobStoreError
from shared.blobs.blob_store import BlobLook, BlobStore
from shared.failpoints import failpoint
from shared.media.sniff_container import HEAD_BYTES
from shared.queue.dispatch import Dispatch
from shared.schemas.options import SubmitOptions
from shared.telemetry.logs import Log

log = Log(__name__)

UPLOAD_FIELD = "upload_id"
# Under which the bucket may hand it out as it is: no browser runs anything of it. The last is what curl says.
HARMLESS_TYPES = ("audio/", "video/", "application/octet-stream", "binary/octet-stream")
FORM_TYPE = "application/x-www-form-urlencoded"
FOR_GOOD = frozenset({"empty_upload", "too_large", "unsupported_media", "unsupported_content_type"})


class DirectJob(msgspec.Struct, frozen=True, kw_only=True):
    """A submission that names a direct upload, its options valid."""

    job_id: UUID
    upload_id: UUID
    options: SubmitOptions

    @property
    def fingerprint(self) -> str:
        return fingerprint(f"{UPLOAD_FIELD} {self.upload_id}", self.options)


class DirectSubmitter:
    """The use case of direct uploads."""

    def __init__(self, database: Database, blobs: BlobStore, quotas: QuotaGate, max_upload_bytes: int) -> None:
        self._database = database
        self._records = DirectUploadRecords(database)
        self._blobs = blobs
        self._quotas = quotas
        self._max_bytes = max_upload_bytes

    async def submit(self, tenant: str, job: DirectJob, *, also: AlsoCommit | None = None) -> Dispatch:
        """Record the job and its `prepare` task, and with them what the caller `also` writes.

        Raises RefusedError, LimitError, OutageError or BlobStoreError, and then has left neither a copy nor a row (but
        see CommitUnknownError). An upload that can never be a job is taken away; another can be put at its URL.
        """
        await self._records.require(tenant, job.upload_id)
        try:
            row = await self._taken(tenant, job)
            with committing():
                await self._record(row, job, also)
        except CommitUnknownError:
            raise
        except BaseException as error:  # a cancelled request must not leave its copy either
            is_for_good = isinstance(error, RefusedError) and error.code in FOR_GOOD
            await asyncio.shield(self._discard(job, for_good=is_for_good))
            raise
        await self._remove(blob_keys.direct(job.upload_id))
        return first_task(row)

    async def _taken(self, tenant: str, job: DirectJob) -> JobRow:
        """The job's row, once its source is where it belongs."""
        try:
            look = await self._copied(tenant, job)
        except BlobNotFoundError:
            await self._records.require(tenant, job.upload_id)  # another request may have been faster
            detail = "The bytes of the upload are not there: PUT them to its URL first, and ask again."
            raise RefusedError("upload_not_there", detail) from None
        container = _container(look)
        return job_row(tenant, job.job_id, job.options, container=container, source_bytes=look.size, source_sha256=None)

    async def _copied(self, tenant: str, job: DirectJob) -> BlobLook:
        """What the copy looks like. What is too much already is not copied."""
        put, key = blob_keys.direct(job.upload_id), blob_keys.source(job.job_id)
        size = await self._blobs.size(put)
        self._check_size(size)
        await self._quotas.glance(tenant, size)
        await self._blobs.copy(put, key)
        failpoint("direct.after_copy")
        look = await self._blobs.look(key, HEAD_BYTES)
        self._check_size(look.size)
        return look

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise too_large(self._max_bytes)

    async def _record(self, row: JobRow, job: DirectJob, also: AlsoCommit | None) -> None:
        async def insert(connection: Any) -> None:
            await claim(connection, row.tenant, job.upload_id, row.job_id)
            await self._quotas.require(connection, Wanted(row.tenant, row.source_bytes))
            await connection.execute(INSERT_JOBS_AND_FIRST_TASKS, *columns_of([row]))
            if also:
                await also(connection, row.job_id, job.fingerprint)

        await commit_job(self._database, row.tenant, row.job_id, insert)

    async def _discard(self, job: DirectJob, *, for_good: bool) -> None:
        await self._remove(blob_keys.source(job.job_id))
        if for_good:
            await self._remove(blob_keys.direct(job.upload_id))

    async def _remove(self, key: str) -> None:
        """What fails here, the processor does later."""
        try:
            await self._blobs.delete_keys([key])
        except BlobStoreError as error:
            log.warning("discard_failed", error=str(error))


def _container(look: BlobLook) -> str:
    """RefusedError `empty_upload`, `unsupported_media`, or `unsupported_content_type`."""
    container = container_of(look.head)
    if look.media_type and not is_harmless(look.media_type):
        detail = "The upload was put as a type that is not audio/*, video/* or application/octet-stream; put it again."
        raise RefusedError("unsupported_content_type", detail)
    return container


def is_harmless(media_type: str) -> bool:
    """Whether a browser that gets it under this type only plays or saves it."""
    kind = media_type.partition(";")[0].strip().lower()
    return kind == FORM_TYPE or kind.startswith(HARMLESS_TYPES)
