"""Makes a job of audio that its client has put into the bucket by itself.

The bucket copies it to the job's own key, and that copy is judged: the client's URL may be good for a while yet, and
what it puts there meanwhile must change neither what was counted nor a job. Its sha256 is `prepare`'s to find out.
"""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import msgspec

from ingest_service.database import Database
from ingest_service.errors import CommitUnknownError, RefusedError
from ingest_service.quotas.quotas import QuotaGate, Wanted
from ingest_service.request_record import committing
from ingest_service.uploads.body import too_large
from ingest_service.uploads.commit import (
    INSERT_JOBS_AND_FIRST_TASKS,
    AlsoCommit,
    JobRow,
    columns_of,
    commit_job,
    fingerprint,
    first_task,
    job_row,
)
from ingest_service.uploads.receive import container_of
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobNotFoundError, BlobStoreError
from shared.blobs.blob_keys import DIRECT_KEPT_S
from shared.blobs.blob_store import BlobLook, BlobStore
from shared.failpoints import failpoint
from shared.ids import new_id
from shared.media.sniff_container import HEAD_BYTES
from shared.queue.dispatch import Dispatch
from shared.schemas.api import DirectUpload
from shared.schemas.options import SubmitOptions
from shared.telemetry.logs import Log

# Ids of uploads that are not jobs yet, as clients name them. Pure.


def parse_upload_id(text: str) -> UUID:
    """The id as a client wrote it. One that cannot be is like one that is not: RefusedError `not_found`."""
    try:
        upload_id = UUID(text)
    except ValueError:
        raise no_such_upload() from None
    if str(upload_id) != text.lower():  # UUID() takes braces and prefixes, too
        raise no_such_upload()
    return upload_id


def no_such_upload() -> RefusedError:
    """The refusal for an upload that is not there, or is somebody else's."""
    return RefusedError("not_found", "There is no such upload.")


# The record of direct uploads: whose each is, and which job it became. Times are the database's own.

CREATE = "INSERT INTO direct_uploads (id, tenant) VALUES ($1, $2)"
FIND = """
    SELECT job_id, created_at < now() - make_interval(secs => $3) AS is_gone
    FROM direct_uploads WHERE tenant = $1 AND id = $2
"""
LOCKED = f"{FIND} FOR UPDATE"
CLAIM = "UPDATE direct_uploads SET job_id = $3 WHERE tenant = $1 AND id = $2"


class DirectUploadRecords:
    """Raises OutageError; and RefusedError `not_found` for what is somebody else's or nobody's, and as `_checked`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, tenant: str, upload_id: UUID) -> None:
        """Record one that its client may put, and then make a job, for a day."""
        async with self._database.transaction(tenant) as connection:
            await connection.execute(CREATE, upload_id, tenant)

    async def require(self, tenant: str, upload_id: UUID) -> None:
        """Raise unless it may still become a job."""
        async with self._database.reading(tenant) as connection:
            _checked(await connection.fetchrow(FIND, tenant, upload_id, DIRECT_KEPT_S))


async def claim(connection: Any, tenant: str, upload_id: UUID, job_id: UUID) -> None:
    """Have it be that job, in the transaction that records the job: of two, the second is refused."""
    _checked(await connection.fetchrow(LOCKED, tenant, upload_id, DIRECT_KEPT_S))
    await connection.execute(CLAIM, tenant, upload_id, job_id)


def _checked(row: Any) -> None:
    """RefusedError `not_found`, `upload_claimed` or `upload_gone`."""
    if row is None:
        raise no_such_upload()
    if row["job_id"]:
        raise RefusedError("upload_claimed", f"The upload is a job already: /v1/jobs/{row['job_id']}.")
    if row["is_gone"]:
        raise RefusedError("upload_gone", "The upload is older than a day; start a new one.")


# Hands out the URL at which a client puts its audio into the bucket by itself, where the store has such URLs.

PATH = "/v1/uploads/presigned"
URL_EXPIRES_S = 3600.0  # to begin; what has begun may take as long as the bucket lets it

Glance = Callable[[str, int], Awaitable[None]]  # raises LimitError when so many bytes of a tenant are too much


class DirectUploads(msgspec.Struct, frozen=True, kw_only=True):
    """What handing them out needs."""

    blobs: BlobStore
    records: DirectUploadRecords
    glance: Glance
    are_wanted: bool  # by the settings

    async def create(self, tenant: str) -> DirectUpload:
        """A new one. RefusedError `no_direct_uploads`, LimitError, OutageError or BlobStoreError."""
        await self.glance(tenant, 0)
        upload_id = new_id()
        expires_at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=URL_EXPIRES_S)  # by the clock that signs
        put = await self.blobs.upload_url(blob_keys.direct(upload_id), expires_s=URL_EXPIRES_S)
        if put is None or not self.are_wanted:
            raise RefusedError(
                "no_direct_uploads", "This service hands out no such URLs. Send the audio to /v1/jobs or /v1/uploads."
            )
        await self.records.create(tenant, upload_id)
        return DirectUpload(
            upload_id=str(upload_id), url=put.url, method="PUT", headers=dict(put.headers), expires_at=expires_at
        )


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
