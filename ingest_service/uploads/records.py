"""The record of direct uploads: whose each is, and which job it became. Times are the database's own."""

from typing import Any
from uuid import UUID

from ingest_service.database import Database
from ingest_service.errors import RefusedError
from ingest_service.uploads.upload_ids import no_such_upload
from shared.blobs.blob_keys import DIRECT_KEPT_S

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
