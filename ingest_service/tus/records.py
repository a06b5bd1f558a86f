"""The record of resumable uploads in Postgres. Whoever changes one shows the token of its lease, or changes nothing.

Requests name the tenant; what a holder does names the upload and its token. Times are the database's own.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from ingest_service.database import Database
from ingest_service.tus.headers import UploadMetadata
from ingest_service.tus.upload import (
    COLUMNS,
    Part,
    Upload,
    taken_over,
    upload_gone,
    upload_of,
)
from ingest_service.uploads.presigned import no_such_upload
from shared.connections.tenancy import ALL_TENANTS
from shared.ids import new_id

CREATE = f"""
    INSERT INTO uploads (id, tenant, length_bytes, options, filename, metadata, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))
    RETURNING {COLUMNS}
"""  # noqa: S608 - constants
FIND = f"SELECT {COLUMNS} FROM uploads WHERE tenant = $1 AND id = $2"  # noqa: S608 - constants
SET_LENGTH = f"""
    UPDATE uploads SET length_bytes = $3 WHERE id = $1 AND lease_token = $2 AND length_bytes IS NULL
    RETURNING {COLUMNS}
"""  # noqa: S608 - constants
# The parts follow each other from the offset on.
ADD_PARTS = f"""
    WITH moved AS (
        UPDATE uploads SET offset_bytes = offset_bytes + (SELECT sum(b) FROM unnest($4::bigint[]) AS b),
            expires_at = now() + make_interval(secs => $5)
        WHERE id = $1 AND lease_token = $2 AND ended_at IS NULL
        RETURNING *
    ), added AS (
        INSERT INTO upload_parts (upload_id, offset_bytes, bytes, lease_token)
        SELECT moved.id, part.offset_bytes, part.bytes, moved.lease_token
        FROM moved, unnest($3::bigint[], $4::bigint[]) AS part(offset_bytes, bytes)
    )
    SELECT {COLUMNS} FROM moved
"""  # noqa: S608 - constants
PARTS = "SELECT offset_bytes, bytes, lease_token FROM upload_parts WHERE upload_id = $1 ORDER BY offset_bytes"

# A row without a container is the tombstone by which the collector of orphans took an id that nobody recorded in time.
IS_RECORDED = "SELECT container <> '' FROM jobs WHERE id = $1"
CHOOSE_JOB = f"UPDATE uploads SET job_id = $3 WHERE id = $1 AND lease_token = $2 RETURNING {COLUMNS}"  # noqa: S608 - constants
COMPLETE = f"""
    UPDATE uploads SET completed_at = now(), options = NULL, filename = NULL WHERE id = $1 AND lease_token = $2
    RETURNING {COLUMNS}
"""  # noqa: S608 - constants
END = f"""
    UPDATE uploads SET ended_at = now(), options = NULL, filename = NULL, metadata = NULL
    WHERE id = $1 AND lease_token = $2 RETURNING {COLUMNS}
"""  # noqa: S608 - constants
# A process that froze while it recorded the job finds the id taken when it wakes up. A job that is there stays.
REFUSE_JOB = """
    INSERT INTO jobs (id, tenant, status, options, container, source_bytes, source_sha256, completed_at, erased_at,
        blobs_erased_at)
    VALUES ($1, $2, 'CANCELLED', '{}', '', 0, '', now(), now(), now())
    ON CONFLICT DO NOTHING
"""
PARTS_ARE_REMOVED = """
    WITH cleared AS (
        UPDATE uploads SET parts_removed_at = now() WHERE id = $1 AND lease_token = $2 RETURNING id
    )
    DELETE FROM upload_parts WHERE upload_id IN (SELECT id FROM cleared)
"""


class UploadRecords:
    """Raises OutageError, and RefusedError `upload_taken_over` for a holder that has lost its lease."""

    def __init__(self, database: Database, *, expires_s: float) -> None:
        self._database = database
        self._expires_s = expires_s

    async def create(self, tenant: str, length_bytes: int | None, metadata: UploadMetadata) -> Upload:
        """Record a new upload without bytes; a null length will be said later."""
        options = msgspec.json.encode(metadata.options).decode()
        arguments = length_bytes, options, metadata.filename, metadata.shown, self._expires_s
        return upload_of(await self._row(tenant, CREATE, new_id(), tenant, *arguments))

    async def get(self, tenant: str, upload_id: UUID) -> Upload:
        """RefusedError `not_found` or `upload_gone`."""
        async with self._database.reading(tenant) as connection:
            row = await connection.fetchrow(FIND, tenant, upload_id)
        if row is None:
            raise no_such_upload()
        if row["is_gone"]:
            raise upload_gone()
        return upload_of(row)

    async def set_length(self, upload: Upload, length_bytes: int) -> Upload:
        return await self._change(SET_LENGTH, upload, length_bytes)

    async def add_parts(self, upload: Upload, parts: Sequence[Part]) -> Upload:
        """Move the offset behind these; from then on their bytes are acknowledged."""
        offsets, sizes = [part.offset_bytes for part in parts], [part.bytes for part in parts]
        return await self._change(ADD_PARTS, upload, offsets, sizes, self._expires_s)

    async def parts(self, upload: Upload) -> list[Part]:
        """All of them, in the order of their bytes."""
        async with self._database.reading(upload.tenant) as connection:
            return [Part(*row) for row in await connection.fetch(PARTS, upload.id)]

    async def is_recorded(self, job_id: UUID) -> bool | None:
        """Whether that job is there; None: nothing has the id yet."""
        async with self._database.reading(ALL_TENANTS) as connection:  # the collector's tombstones are nobody's
            found: bool | None = await connection.fetchval(IS_RECORDED, job_id)
            return found

    async def choose_job(self, upload: Upload, job_id: UUID) -> Upload:
        """The id that the job is going to have."""
        return await self._change(CHOOSE_JOB, upload, job_id)

    async def complete(self, upload: Upload) -> Upload:
        """Its job is recorded."""
        return await self._change(COMPLETE, upload)

    async def end(self, upload: Upload) -> Upload:
        """It is gone: terminated or refused."""
        return await self._change(END, upload)

    async def refuse_job(self, upload: Upload) -> None:
        """No job comes of it any more, unless it is there."""
        await self._execute(upload.tenant, REFUSE_JOB, upload.job_id, upload.tenant)

    async def parts_are_removed(self, upload: Upload) -> None:
        await self._execute(upload.tenant, PARTS_ARE_REMOVED, upload.id, upload.lease_token)

    async def _change(self, statement: str, upload: Upload, *arguments: Any) -> Upload:
        row = await self._row(upload.tenant, statement, upload.id, upload.lease_token, *arguments)
        if row is None:
            raise taken_over()
        return upload_of(row)

    async def _row(self, tenant: str, statement: str, *arguments: Any) -> Any:
        async with self._database.transaction(tenant) as connection:
            return await connection.fetchrow(statement, *arguments)

    async def _execute(self, tenant: str, statement: str, *arguments: Any) -> None:
        async with self._database.transaction(tenant) as connection:
            await connection.execute(statement, *arguments)
