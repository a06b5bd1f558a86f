"""Hands out the URL at which a client puts its audio into the bucket by itself, where the store has such URLs."""

import datetime as dt
from collections.abc import Awaitable, Callable

import msgspec

from ingest_service.errors import RefusedError
from ingest_service.uploads.records import DirectUploadRecords
from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.ids import new_id
from shared.schemas.api import DirectUpload

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
