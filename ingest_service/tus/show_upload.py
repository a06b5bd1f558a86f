"""Shows how far an upload is. Whoever asks is about to go on, so a request that still holds the upload is stopped."""

from uuid import UUID

from ingest_service.tus.resumable_uploads import ResumableUploads
from ingest_service.tus.terminate_upload import refused_for_good
from ingest_service.tus.upload import Upload


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
