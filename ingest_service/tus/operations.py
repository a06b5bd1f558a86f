"""Appends the bytes of one request to an upload; with the last ones it becomes a job."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec
from litestar.types import Receive

from ingest_service.database import Database
from ingest_service.errors import IngestError, RefusedError
from ingest_service.tus.complete import Glance, RecordJob, Ring, UploadCompleter
from ingest_service.tus.headers import CreationHead, PatchHead, read_metadata
from ingest_service.tus.leases import Hold, UploadLeases
from ingest_service.tus.parts import PartReceiver, too_long
from ingest_service.tus.records import UploadRecords
from ingest_service.tus.upload import Upload
from ingest_service.uploads.body import too_large
from ingest_service.uploads.receive import FreeSpace
from shared.blobs.blob_store import BlobStore
from shared.telemetry.logs import Log

# What the use cases of resumable uploads stand on, opened once a process.


class ResumableUploads(msgspec.Struct, frozen=True, kw_only=True):
    """Passed to each use case."""

    blobs: BlobStore
    records: UploadRecords
    leases: UploadLeases
    completer: UploadCompleter
    free_space: FreeSpace
    glance: Glance
    max_bytes: int


@asynccontextmanager
async def open_resumable_uploads(  # noqa: PLR0913, PLR0917 - all that they stand on, named at the one call
    database: Database,
    blobs: BlobStore,
    free_space: FreeSpace,
    record_job: RecordJob,
    ring: Ring,
    glance: Glance,
    *,
    max_bytes: int,
    expires_s: float,
) -> AsyncIterator[ResumableUploads]:
    """All of it, with the heartbeat of the leases."""
    records = UploadRecords(database, expires_s=expires_s)
    async with UploadLeases.kept(database, records) as leases:
        yield ResumableUploads(
            blobs=blobs,
            records=records,
            leases=leases,
            completer=UploadCompleter(blobs, records, record_job, ring, glance),
            free_space=free_space,
            glance=glance,
            max_bytes=max_bytes,
        )


# Ends an upload: by its client's wish, or because it can never be audio. A job that it became stays.

log = Log(__name__)


async def terminate_upload(uploads: ResumableUploads, tenant: str, upload_id: UUID) -> None:
    """RefusedError `not_found`, `upload_gone` or `upload_locked`; OutageError. Who holds it is stopped first."""
    async with uploads.leases.hold(tenant, upload_id) as hold:
        if hold.upload.job_id:
            await uploads.records.refuse_job(hold.upload)
        await _end(uploads, hold)


async def forget_upload(uploads: ResumableUploads, tenant: str, upload_id: UUID) -> None:
    """End one that nobody can come back to. Raises nothing: else it ends by its expiry."""
    try:
        await terminate_upload(uploads, tenant, upload_id)
    except IngestError as error:
        if error.code != "upload_gone":
            log.warning("upload_not_ended", upload_id=upload_id, error=error.detail)


@asynccontextmanager
async def refused_for_good(uploads: ResumableUploads, hold: Hold) -> AsyncIterator[None]:
    """End the upload when the block finds out that it is no audio."""
    try:
        yield
    except RefusedError as error:
        if error.code == "unsupported_media":
            await asyncio.shield(_end(uploads, hold))
        raise


async def _end(uploads: ResumableUploads, hold: Hold) -> None:
    hold.upload = await uploads.records.end(hold.upload)
    await uploads.completer.remove_parts(hold.upload)


async def append_to_upload(
    uploads: ResumableUploads, tenant: str, upload_id: UUID, head: PatchHead, receive: Receive
) -> Upload:
    """The upload as it then stands. Raises IngestError or BlobStoreError; the bytes that count stay."""
    async with uploads.leases.hold(tenant, upload_id) as hold:
        left_bytes = bytes_left(hold.upload, head, uploads.max_bytes)
        async with refused_for_good(uploads, hold):
            await _append(uploads, hold, head, receive, left_bytes)
        return hold.upload


async def _append(uploads: ResumableUploads, hold: Hold, head: PatchHead, receive: Receive, left_bytes: int) -> None:
    if hold.upload.length_bytes is None and head.length_bytes is not None:
        hold.upload = await uploads.records.set_length(hold.upload, head.length_bytes)
    if head.content_length != 0:
        await PartReceiver(uploads.blobs, uploads.records, hold, head.checksum).receive(receive, left_bytes)
    if hold.upload.is_whole:
        await uploads.completer.complete(hold)


def bytes_left(upload: Upload, head: PatchHead, max_bytes: int) -> int:
    """How many bytes the request may bring; RefusedError when it does not fit the upload. A pure decision."""
    if head.offset_bytes != upload.offset_bytes:
        raise RefusedError("upload_offset_mismatch", f"The upload's offset is {upload.offset_bytes}.")
    length_bytes = upload.length_bytes
    if head.length_bytes is not None:
        if length_bytes not in {None, head.length_bytes} or head.length_bytes < upload.offset_bytes:
            raise RefusedError("invalid_upload", "`Upload-Length` is not the length of this upload.")
        length_bytes = head.length_bytes
    if length_bytes is not None and length_bytes > max_bytes:
        raise too_large(max_bytes)
    left_bytes = (max_bytes if length_bytes is None else length_bytes) - upload.offset_bytes
    if (head.content_length or 0) > left_bytes:
        raise too_long(left_bytes)
    return left_bytes


# Creates an upload: its options are checked before a byte is sent. It may bring its first bytes, or all, at once.


async def create_upload(uploads: ResumableUploads, tenant: str, head: CreationHead, receive: Receive) -> Upload:
    """The new upload, with what came along. Raises IngestError or BlobStoreError, and then has left no upload."""
    if (head.length_bytes or 0) > uploads.max_bytes:
        raise too_large(uploads.max_bytes)
    await uploads.glance(tenant, head.length_bytes or 0)
    await uploads.free_space.require(head.length_bytes or 0)
    upload = await uploads.records.create(tenant, head.length_bytes, read_metadata(head.metadata))
    if head.first is None:
        return upload
    try:
        bytes_left(upload, head.first, uploads.max_bytes)
        return await append_to_upload(uploads, tenant, upload.id, head.first, receive)
    except BaseException:  # its client was told no address to come back to
        await asyncio.shield(forget_upload(uploads, tenant, upload.id))
        raise


# Shows how far an upload is. Whoever asks is about to go on, so a request that still holds the upload is stopped.


async def show_upload(uploads: ResumableUploads, tenant: str, upload_id: UUID) -> Upload:
    """The upload; one that is whole but became no job yet, because a process died, becomes one now."""
    upload = await uploads.records.get(tenant, upload_id)
    is_due = upload.is_whole and not upload.is_completed
    if not upload.is_held and not is_due:
        return upload
    async with uploads.leases.hold(tenant, upload_id) as hold:
        if hold.upload.is_whole:
            async with refused_for_good(uploads, hold):
                await uploads.completer.complete(hold)
        return hold.upload
