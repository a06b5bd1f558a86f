"""The operations on resumable uploads: create, append, show, terminate."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec
from litestar.types import Receive

from ingest_service.database import Database
from ingest_service.errors import IngestError, RefusedError
from ingest_service.quotas.quotas import QuotaGate
from ingest_service.tus.complete import CommitJob, Notify, UploadCompleter
from ingest_service.tus.headers import NO_OPTIONS, CreationHead, PatchHead, read_metadata
from ingest_service.tus.parts import PartReceiver, too_long
from ingest_service.tus.upload_leases import Hold, UploadLeases
from ingest_service.tus.upload_rows import Upload, UploadRows
from ingest_service.uploads.body import too_large
from ingest_service.uploads.free_space import FreeSpace
from ingest_service.uploads.json_body import read_object
from ingest_service.uploads.parse_options import RequireServedFor
from shared.blobs.blob_store import BlobStore
from shared.telemetry.logs import Log

log = Log(__name__)


class ResumableUploads(msgspec.Struct, frozen=True, kw_only=True):
    """The dependencies of the operations, opened once per process."""

    blobs: BlobStore
    rows: UploadRows
    leases: UploadLeases
    completer: UploadCompleter
    free_space: FreeSpace
    quotas: QuotaGate
    require_served: RequireServedFor
    max_bytes: int


@asynccontextmanager
async def open_resumable_uploads(  # noqa: PLR0913, PLR0917 - dependencies, named at the one call
    database: Database,
    blobs: BlobStore,
    free_space: FreeSpace,
    commit_job: CommitJob,
    notify: Notify,
    quotas: QuotaGate,
    *,
    require_served: RequireServedFor,
    max_bytes: int,
    expires_s: float,
) -> AsyncIterator[ResumableUploads]:
    """Open the dependencies, with the heartbeat of the leases."""
    rows = UploadRows(database, quotas, expires_s=expires_s)
    async with UploadLeases.kept(database, rows) as leases:
        yield ResumableUploads(
            blobs=blobs,
            rows=rows,
            leases=leases,
            completer=UploadCompleter(blobs, rows, commit_job, notify, quotas),
            free_space=free_space,
            quotas=quotas,
            require_served=require_served,
            max_bytes=max_bytes,
        )


async def create_upload(uploads: ResumableUploads, tenant: str, head: CreationHead, receive: Receive) -> Upload:
    """Create an upload and store the bytes that came with the request.

    Options, of the head or a JSON body, are checked before any byte of audio is sent. After an IngestError or
    BlobStoreError no upload remains.
    """
    if (head.length_bytes or 0) > uploads.max_bytes:
        raise too_large(uploads.max_bytes)
    await uploads.quotas.precheck(tenant, head.length_bytes or 0)
    await uploads.free_space.require(head.length_bytes or 0)
    options = await read_object(head.content_length, receive) if head.has_options else NO_OPTIONS
    metadata = read_metadata(head.metadata, options)
    uploads.require_served(tenant, metadata.options)
    upload = await uploads.rows.create(tenant, uploads.blobs.new_id(), head.length_bytes, metadata)
    if head.first is None:
        return upload
    try:
        bytes_left(upload, head.first, uploads.max_bytes)
        return await append_to_upload(uploads, tenant, upload.id, head.first, receive)
    except BaseException:  # the client never learned the upload's address
        await asyncio.shield(_abandon(uploads, tenant, upload.id))
        raise


async def append_to_upload(
    uploads: ResumableUploads, tenant: str, upload_id: UUID, head: PatchHead, receive: Receive
) -> Upload:
    """Append the bytes of one request; with the last bytes the upload becomes a job. Return the new state.

    After an IngestError or BlobStoreError the acknowledged bytes remain.
    """
    async with uploads.leases.hold(tenant, upload_id) as hold:
        left_bytes = bytes_left(hold.upload, head, uploads.max_bytes)
        async with _ended_if_not_audio(uploads, hold):
            await _append(uploads, hold, head, receive, left_bytes)
        return hold.upload


async def _append(uploads: ResumableUploads, hold: Hold, head: PatchHead, receive: Receive, left_bytes: int) -> None:
    if hold.upload.length_bytes is None and head.length_bytes is not None:
        hold.upload = await uploads.rows.set_length(hold.upload, head.length_bytes)
    if hold.upload.length_bytes is None:  # not reserved: refuse what certainly exceeds the quota before it is sent
        await uploads.quotas.precheck(hold.upload.tenant, head.content_length or 0)
    if head.content_length != 0:
        await PartReceiver(uploads.blobs, uploads.rows, hold, head.checksum).receive(receive, left_bytes)
    if hold.upload.is_whole:
        await uploads.completer.complete(hold)


def bytes_left(upload: Upload, head: PatchHead, max_bytes: int) -> int:
    """The most bytes that the request may bring. RefusedError if the request does not fit the upload."""
    if head.offset_bytes != upload.offset_bytes:
        raise RefusedError("upload_offset_mismatch", f"The upload's offset is {upload.offset_bytes}.")
    length_bytes = upload.length_bytes
    if head.length_bytes is not None:
        if length_bytes not in {None, head.length_bytes} or head.length_bytes < upload.offset_bytes:
            raise RefusedError("invalid_upload", "`Upload-Length` does not match this upload.")
        length_bytes = head.length_bytes
    if length_bytes is not None and length_bytes > max_bytes:
        raise too_large(max_bytes)
    left_bytes = (max_bytes if length_bytes is None else length_bytes) - upload.offset_bytes
    if (head.content_length or 0) > left_bytes:
        raise too_long(left_bytes)
    return left_bytes


async def show_upload(uploads: ResumableUploads, tenant: str, upload_id: UUID) -> Upload:
    """Return the state of an upload.

    The client is about to continue, so a request that still holds the upload is stopped. A complete upload that did not
    become a job, because a process died, becomes one now.
    """
    upload = await uploads.rows.get(tenant, upload_id)
    is_due = upload.is_whole and not upload.is_completed
    if not upload.is_held and not is_due:
        return upload
    async with uploads.leases.hold(tenant, upload_id) as hold:
        if hold.upload.is_whole:
            async with _ended_if_not_audio(uploads, hold):
                await uploads.completer.complete(hold)
        return hold.upload


async def terminate_upload(uploads: ResumableUploads, tenant: str, upload_id: UUID) -> None:
    """End an upload; a job that it became stays. A request that holds it is stopped first.

    RefusedError `not_found`, `upload_gone` or `upload_locked`; OutageError.
    """
    async with uploads.leases.hold(tenant, upload_id) as hold:
        if hold.upload.job_id:
            await uploads.rows.block_job(hold.upload)
        await _end(uploads, hold)


async def _abandon(uploads: ResumableUploads, tenant: str, upload_id: UUID) -> None:
    """End an upload whose address no client knows. Raises nothing: after an error it expires."""
    try:
        await terminate_upload(uploads, tenant, upload_id)
    except IngestError as error:
        if error.code != "upload_gone":
            log.warning("upload_not_ended", upload_id=upload_id, error=error.detail)


@asynccontextmanager
async def _ended_if_not_audio(uploads: ResumableUploads, hold: Hold) -> AsyncIterator[None]:
    """End the upload if the block finds that it is not audio."""
    try:
        yield
    except RefusedError as error:
        if error.code == "unsupported_media":
            await asyncio.shield(_end(uploads, hold))
        raise


async def _end(uploads: ResumableUploads, hold: Hold) -> None:
    hold.upload = await uploads.rows.end(hold.upload)
    await uploads.completer.remove_parts(hold.upload)
