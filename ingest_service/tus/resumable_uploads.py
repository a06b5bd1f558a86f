"""What the use cases of resumable uploads stand on, opened once a process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from ingest_service.database import Database
from ingest_service.tus.complete import Glance, RecordJob, Ring, UploadCompleter
from ingest_service.tus.leases import UploadLeases
from ingest_service.tus.records import UploadRecords
from ingest_service.uploads.free_space import FreeSpace
from shared.blobs.blob_store import BlobStore


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
