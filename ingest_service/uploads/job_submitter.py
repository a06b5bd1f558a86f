"""Submits an upload: audio into the blob store, then the job and its first task into Postgres in one commit.

When this returns, the 202 may be sent. The caller notifies the processors; that may fail.
"""

import asyncio
from functools import partial
from uuid import UUID

import asyncpg
import msgspec
from litestar.types import Receive

from ingest_service.database import Database
from ingest_service.errors import CommitUnknownError, LimitError, OutageError
from ingest_service.quotas.quotas import QuotaGate
from ingest_service.request_record import Committing
from ingest_service.uploads.attach import Attacher
from ingest_service.uploads.commit import AlsoCommit, JobRecorder, commit_job
from ingest_service.uploads.form import OVERHEAD_BYTES
from ingest_service.uploads.free_space import FreeSpace
from ingest_service.uploads.from_url import UrlJob, UrlRules, is_json, read_json_job
from ingest_service.uploads.job_row import JobRow, fingerprint, first_task, job_row
from ingest_service.uploads.parse_options import RequireServedFor, anything_for
from ingest_service.uploads.presigned_uploads import DirectJob, DirectSubmitter
from ingest_service.uploads.receive import Upload, UploadHead, UploadReceiver
from shared.blobs.blob_errors import BlobStoreError
from shared.blobs.blob_store import BlobStore
from shared.queue.dispatch import Dispatch
from shared.telemetry.logs import Log

log = Log(__name__)


class AcceptedJob(msgspec.Struct, frozen=True):
    """A committed job and the dispatches to enqueue: of its first task, or none for a job of an equal request."""

    job_id: UUID
    dispatches: tuple[Dispatch, ...]

    @property
    def attached(self) -> bool:
        """Whether an equal request had made the job before."""
        return not self.dispatches


class JobSubmitter:
    """Submits audio by form, raw body, URL or presigned upload."""

    def __init__(  # noqa: PLR0913 - dependencies, named at the one call
        self,
        database: Database,
        blobs: BlobStore,
        free_space: FreeSpace,
        max_upload_bytes: int,
        urls: UrlRules,
        *,
        quotas: QuotaGate,
        attach_s: float,
        require_served: RequireServedFor = anything_for,
    ) -> None:
        self._quotas = quotas
        self._require_served = require_served
        self._attacher = Attacher(database, quotas, ended_s=attach_s)
        self.recorder = JobRecorder(database, self._quotas)
        self._database = database
        self._blobs = blobs
        self._free_space = free_space
        self._max_upload_bytes = max_upload_bytes
        self._urls = urls
        self._direct = DirectSubmitter(database, blobs, self._quotas, max_upload_bytes)

    async def submit(  # noqa: PLR0913 - the wishes of one request
        self,
        tenant: str,
        head: UploadHead,
        receive: Receive,
        *,
        also: AlsoCommit | None = None,
        interactive: bool = False,
        attach: bool = False,
    ) -> AcceptedJob:
        """Receive and commit one job.

        `interactive`: a client waits for the job, so it goes before the backlog. `attach`: return the job of an equal
        request, if there is one. Both apply to audio in the body.
        After an IngestError or BlobStoreError neither a blob nor a row remains, except after CommitUnknownError.
        """
        await self._precheck(tenant, _least_bytes(head), attach=attach)
        require_served = partial(self._require_served, tenant)
        if is_json(head):
            job = await read_json_job(self._blobs.new_id(), head, receive, self._urls.of(tenant), require_served)
            return AcceptedJob(job.job_id, (await self._submit_named(tenant, job, also),))
        await self._free_space.require(min(head.content_length or 0, self._max_upload_bytes))
        receiver = UploadReceiver(self._blobs, self._blobs.new_id(), self._max_upload_bytes, require_served)
        try:
            upload = await receiver.receive(head, receive)
            with Committing():
                if attach:
                    accepted = await self._attach_or_commit(tenant, upload, also, interactive=interactive)
                elif also is None:
                    return await record_job(self.recorder, tenant, upload, interactive=interactive)
                else:
                    return await self._commit(tenant, upload, also, interactive=interactive)
        except CommitUnknownError:
            raise
        except BaseException:  # a cancelled request must not leave its audio
            await asyncio.shield(_discard(receiver))
            raise
        if accepted.attached:
            await asyncio.shield(_discard(receiver))
        return accepted

    async def _precheck(self, tenant: str, least_bytes: int, *, attach: bool) -> None:
        """Check the quotas, except for a request that may attach to a job: the commit checks them."""
        try:
            await self._quotas.precheck(tenant, least_bytes)
        except LimitError:
            if not attach or not await self._attacher.may_attach(tenant):
                raise

    async def _attach_or_commit(
        self, tenant: str, upload: Upload, also: AlsoCommit | None, *, interactive: bool
    ) -> AcceptedJob:
        identity = fingerprint(upload.audio.sha256, upload.options)
        queue = await self._quotas.queue_of(tenant, upload.options)
        row = _row(tenant, upload, queue, interactive=interactive, attach_key=identity)
        if found := await self._attacher.commit(row, identity, also=also):
            return AcceptedJob(found, ())
        return AcceptedJob(row.job_id, (first_task(row),))

    async def _commit(self, tenant: str, upload: Upload, also: AlsoCommit, *, interactive: bool) -> AcceptedJob:
        identity = fingerprint(upload.audio.sha256, upload.options)
        row = _row(tenant, upload, await self._quotas.queue_of(tenant, upload.options), interactive=interactive)
        return AcceptedJob(row.job_id, (await commit_job(self._database, self._quotas, row, identity, also=also),))

    async def _submit_named(self, tenant: str, job: UrlJob | DirectJob, also: AlsoCommit | None) -> Dispatch:
        if isinstance(job, DirectJob):
            return await self._direct.submit(tenant, job, also=also)
        queue = await self._quotas.queue_of(tenant, job.options)
        row = job_row(
            tenant,
            job.job_id,
            job.options,
            source_url=job.audio_url,
            sealed_headers=job.sealed_headers,
            queue=queue,
        )
        return await commit_job(self._database, self._quotas, row, job.fingerprint, also=also)

    async def fingerprint(self, head: UploadHead, receive: Receive) -> str:
        """Receive an upload and return its fingerprint. Keeps nothing; raises what `submit` raises.

        The model may be gone: a repeat gets the first answer all the same.
        """
        if is_json(head):
            return (await read_json_job(self._blobs.new_id(), head, receive, self._urls)).fingerprint
        receiver = UploadReceiver(self._blobs, self._blobs.new_id(), self._max_upload_bytes)
        try:
            upload = await receiver.receive(head, receive)
            return fingerprint(upload.audio.sha256, upload.options)
        finally:
            await asyncio.shield(_discard(receiver))


def _least_bytes(head: UploadHead) -> int:
    """The least bytes of audio that the head implies: without the rest of a form; 0 for a URL or presigned upload."""
    if is_json(head):
        return 0
    overhead = 0 if head.boundary is None else OVERHEAD_BYTES
    return max(0, (head.content_length or 0) - overhead)


async def _discard(receiver: UploadReceiver) -> None:
    try:
        await receiver.discard()
    except BlobStoreError as error:  # the first error is reported
        log.warning("discard_failed", error=str(error))


async def record_job(
    recorder: JobRecorder, tenant: str, upload: Upload, *, reserved_bytes: int = 0, interactive: bool = False
) -> AcceptedJob:
    """Commit the job and its `prepare` task in a batch.

    Raises OutageError or LimitError (nothing was written), or CommitUnknownError.
    """
    row = _row(tenant, upload, await recorder.queue_of(tenant, upload.options), interactive=interactive)
    try:
        await recorder.record(row, reserved_bytes=reserved_bytes)
    except asyncpg.UniqueViolationError as error:
        # this process was frozen so long that the orphan collector took the id
        raise OutageError("storage_unavailable", "Committing the upload took too long. Send it again.") from error
    return AcceptedJob(row.job_id, (first_task(row),))


def _row(tenant: str, upload: Upload, queue: str, *, interactive: bool, attach_key: str | None = None) -> JobRow:
    audio = upload.audio
    return job_row(
        tenant,
        upload.job_id,
        upload.options,
        container=audio.container,
        source_bytes=audio.bytes,
        source_sha256=audio.sha256,
        filename=upload.filename,
        interactive=interactive,
        attach_key=attach_key,
        queue=queue,
    )
