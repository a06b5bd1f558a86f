"""Creates an upload: its options are checked before a byte is sent. It may bring its first bytes, or all, at once."""

import asyncio

from litestar.types import Receive

from ingest_service.tus.headers import CreationHead
from ingest_service.tus.operations import append_to_upload, bytes_left
from ingest_service.tus.read_metadata import read_metadata
from ingest_service.tus.resumable_uploads import ResumableUploads
from ingest_service.tus.terminate_upload import forget_upload
from ingest_service.tus.upload import Upload
from ingest_service.uploads.body import too_large


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
