"""Ends an upload: by its client's wish, or because it can never be audio. A job that it became stays."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from ingest_service.errors import IngestError, RefusedError
from ingest_service.tus.leases import Hold
from ingest_service.tus.resumable_uploads import ResumableUploads
from shared.telemetry.logs import Log

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
