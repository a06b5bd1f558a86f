"""Appends the bytes of one request to an upload; with the last ones it becomes a job."""

from uuid import UUID

from litestar.types import Receive

from ingest_service.errors import RefusedError
from ingest_service.tus.headers import PatchHead
from ingest_service.tus.leases import Hold
from ingest_service.tus.parts import PartReceiver, too_long
from ingest_service.tus.resumable_uploads import ResumableUploads
from ingest_service.tus.terminate_upload import refused_for_good
from ingest_service.tus.upload import Upload
from ingest_service.uploads.body import too_large


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
