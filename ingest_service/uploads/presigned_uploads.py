"""Presigned uploads: the client PUTs audio into the bucket at a presigned URL, then submits it as a job.

The bucket copies the upload to the job's own key, and the copy is checked and counted. The client's URL may remain
valid: a later PUT changes neither the job nor its size. The task `prepare` computes the sha256.
"""

import asyncio
import datetime as dt
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from ingest_service.database import Database
from ingest_service.errors import CommitUnknownError, RefusedError
from ingest_service.quotas.quotas import QuotaGate
from ingest_service.request_record import Committing
from ingest_service.uploads.body import too_large
from ingest_service.uploads.commit import AlsoCommit, commit_job
from ingest_service.uploads.job_row import JobRow, fingerprint, job_row
from ingest_service.uploads.receive import container_of
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobNotFoundError, BlobStoreError
from shared.blobs.blob_facts import BlobLook
from shared.blobs.blob_keys import DIRECT_KEPT_S
from shared.blobs.blob_store import BlobStore
from shared.failpoints import failpoint
from shared.ids import parse_id
from shared.media.sniff_container import HEAD_BYTES
from shared.queue.dispatch import Dispatch
from shared.schemas.api import DirectUpload
from shared.schemas.options import SubmitOptions
from shared.telemetry.logs import Log

log = Log(__name__)

PATH = "/v1/uploads/presigned"
UPLOAD_FIELD = "upload_id"
URL_EXPIRES_S = 3600.0  # until the PUT begins; the bucket decides how long it may take
# A bucket may serve these types as they are: a browser runs none of them. The last is curl's default type for a body.
HARMLESS_TYPES = ("audio/", "video/", "application/octet-stream", "binary/octet-stream")
FORM_TYPE = "application/x-www-form-urlencoded"
PERMANENT = frozenset({"empty_upload", "too_large", "unsupported_media", "unsupported_content_type"})

CREATE = "INSERT INTO direct_uploads (id, tenant) VALUES ($1, $2)"
FIND = """
    SELECT job_id, created_at < now() - make_interval(secs => $3) AS is_gone
    FROM direct_uploads WHERE tenant = $1 AND id = $2
"""
LOCKED = f"{FIND} FOR UPDATE"
CLAIM = "UPDATE direct_uploads SET job_id = $3 WHERE tenant = $1 AND id = $2"


def parse_upload_id(text: str) -> UUID:
    """Parse a client's upload id. A malformed id is an unknown one: RefusedError `not_found`."""
    if (upload_id := parse_id(text)) is None:
        raise no_such_upload()
    return upload_id


def no_such_upload() -> RefusedError:
    """The error for an unknown upload, or another tenant's."""
    return RefusedError(
        "not_found",
        "Upload not found. Use the `upload_id` that `POST /v1/uploads/presigned` answered, or the tus `Location`.",
    )


async def require_upload(database: Database, tenant: str, upload_id: UUID) -> None:
    """Raise OutageError, or a RefusedError of `_checked`, unless the upload may become a job."""
    async with database.reading(tenant) as connection:
        _checked(await connection.fetchrow(FIND, tenant, upload_id, DIRECT_KEPT_S))


async def claim(connection: Any, tenant: str, upload_id: UUID, job_id: UUID) -> None:
    """Claim the upload in the job's transaction. Of two concurrent claims the second is refused."""
    _checked(await connection.fetchrow(LOCKED, tenant, upload_id, DIRECT_KEPT_S))
    await connection.execute(CLAIM, tenant, upload_id, job_id)


def _checked(row: Any) -> None:
    """RefusedError `not_found`, `upload_claimed` or `upload_gone`."""
    if row is None:
        raise no_such_upload()
    if row["job_id"]:
        raise RefusedError("upload_claimed", f"The upload is already a job: /v1/jobs/{row['job_id']}.")
    if row["is_gone"]:
        raise RefusedError("upload_gone", "The upload is older than one day. Start a new one.")


class DirectUploads(msgspec.Struct, frozen=True, kw_only=True):
    """Creates presigned uploads, if the store has presigned URLs."""

    blobs: BlobStore
    database: Database
    quotas: QuotaGate
    are_wanted: bool  # the setting `presigned_uploads`

    async def create(self, tenant: str) -> DirectUpload:
        """Create one. RefusedError `no_direct_uploads`, LimitError, OutageError or BlobStoreError."""
        await self.quotas.precheck(tenant, 0)
        upload_id = self.blobs.new_id()
        expires_at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=URL_EXPIRES_S)  # the clock that signs the URL
        put = await self.blobs.upload_url(blob_keys.direct(upload_id), expires_s=URL_EXPIRES_S)
        if put is None or not self.are_wanted:
            raise RefusedError(
                "no_direct_uploads", "This service has no presigned uploads. Send the audio to /v1/jobs or /v1/uploads."
            )
        async with self.database.transaction(tenant) as connection:
            await self.quotas.require_upload(connection, tenant, 0, is_presigned=True)
            await connection.execute(CREATE, upload_id, tenant)  # its client may PUT it and make it a job for one day
        url, headers = put.url.reveal(), dict(put.headers)
        return DirectUpload(upload_id=str(upload_id), url=url, method="PUT", headers=headers, expires_at=expires_at)


class DirectJob(msgspec.Struct, frozen=True, kw_only=True):
    """A submission of a presigned upload with valid options."""

    job_id: UUID
    upload_id: UUID
    options: SubmitOptions

    @property
    def fingerprint(self) -> str:
        return fingerprint(f"{UPLOAD_FIELD} {self.upload_id}", self.options)


class DirectSubmitter:
    """Submits presigned uploads."""

    def __init__(self, database: Database, blobs: BlobStore, quotas: QuotaGate, max_upload_bytes: int) -> None:
        self._database = database
        self._blobs = blobs
        self._quotas = quotas
        self._max_bytes = max_upload_bytes

    async def submit(self, tenant: str, job: DirectJob, *, also: AlsoCommit | None = None) -> Dispatch:
        """Commit the job, its `prepare` task and what `also` writes.

        After a RefusedError, LimitError, OutageError or BlobStoreError neither a copy nor a row remains, except after
        CommitUnknownError. An upload that can never be a job is deleted; the client may PUT another at its URL.
        """
        await require_upload(self._database, tenant, job.upload_id)
        try:
            row = await self._row_of_copy(tenant, job)
            claiming = partial(claim, tenant=tenant, upload_id=job.upload_id, job_id=job.job_id)
            with Committing():
                first_task = await commit_job(
                    self._database, self._quotas, row, job.fingerprint, also=also, claim=claiming
                )
        except CommitUnknownError:
            raise
        except BaseException as error:  # a cancelled request must not leave its copy
            is_permanent = isinstance(error, RefusedError) and error.code in PERMANENT
            await asyncio.shield(self._discard(job, is_permanent=is_permanent))
            raise
        await self._remove(blob_keys.direct(job.upload_id))
        return first_task

    async def _row_of_copy(self, tenant: str, job: DirectJob) -> JobRow:
        """Copy the upload to the job's key and return the job's row."""
        try:
            look = await self._copy(tenant, job)
        except BlobNotFoundError:
            await require_upload(self._database, tenant, job.upload_id)  # another request may have claimed it
            detail = "The upload has no bytes yet. PUT them to its URL, then submit it again."
            raise RefusedError("upload_not_there", detail) from None
        container = _container(look)
        queue = await self._quotas.queue_of(tenant, job.options)
        return job_row(tenant, job.job_id, job.options, container=container, source_bytes=look.size, queue=queue)

    async def _copy(self, tenant: str, job: DirectJob) -> BlobLook:
        """Copy the upload, if its size is allowed, and look at the copy."""
        put, key = blob_keys.direct(job.upload_id), blob_keys.source(job.job_id)
        size = await self._blobs.size(put)
        self._check_size(size)
        await self._quotas.precheck(tenant, size)
        await self._blobs.copy(put, key)
        failpoint("direct.after_copy")
        look = await self._blobs.look(key, HEAD_BYTES)
        self._check_size(look.size)
        return look

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise too_large(self._max_bytes)

    async def _discard(self, job: DirectJob, *, is_permanent: bool) -> None:
        await self._remove(blob_keys.source(job.job_id))
        if is_permanent:
            await self._remove(blob_keys.direct(job.upload_id))

    async def _remove(self, key: str) -> None:
        """Delete a blob. After an error here, maintenance deletes it later."""
        try:
            await self._blobs.delete_keys([key])
        except BlobStoreError as error:
            log.warning("discard_failed", error=str(error))


def _container(look: BlobLook) -> str:
    """RefusedError `empty_upload`, `unsupported_media`, or `unsupported_content_type`."""
    container = container_of(look.head)
    if look.media_type and not is_harmless(look.media_type):
        detail = "Unsupported Content-Type. PUT the upload again as audio/*, video/* or application/octet-stream."
        raise RefusedError("unsupported_content_type", detail)
    return container


def is_harmless(media_type: str) -> bool:
    """Whether browsers only play or save this type."""
    kind = media_type.partition(";")[0].strip().lower()
    return kind == FORM_TYPE or kind.startswith(HARMLESS_TYPES)
