"""The rows of resumable uploads and their parts in Postgres. Times are the database's.

Every change requires the current lease token; a stale holder's writes are rejected.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from ingest_service.database import Database
from ingest_service.errors import RefusedError
from ingest_service.quotas.quotas import QuotaGate
from ingest_service.uploads.presigned_uploads import no_such_upload
from shared.connections.tenancy import ALL_TENANTS
from shared.schemas.options import SubmitOptions, decode_submission, encode_submission
from shared.secret import repr_hiding

COLUMNS = """
    id, tenant, length_bytes, offset_bytes, expires_at, metadata, options, filename, lease_token, job_id,
    completed_at IS NOT NULL AS is_completed,
    ended_at IS NOT NULL OR (completed_at IS NULL AND expires_at < now()) AS is_gone,
    coalesce(lease_expires_at > now(), false) AS is_held
"""


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `uploads`: the fields are COLUMNS."""

    id: UUID
    tenant: str
    length_bytes: int | None  # None: not known yet
    offset_bytes: int
    expires_at: dt.datetime
    metadata: str | None
    options: str | None
    filename: str | None
    lease_token: int
    job_id: UUID | None
    is_completed: bool  # its job is committed
    is_gone: bool
    is_held: bool

    def __repr__(self) -> str:
        return repr_hiding(self, "options")  # they may contain `webhook_secret`

    @property
    def is_whole(self) -> bool:
        return self.offset_bytes == self.length_bytes

    def submit_options(self) -> SubmitOptions:
        try:
            return decode_submission(self.options or "{}")
        except RecursionError:  # created by a version without a bound
            raise RefusedError("invalid_option", "`metadata` is nested too deep. Start a new upload.") from None


class UploadMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What a client says about an upload when it creates it."""

    options: SubmitOptions
    filename: str | None
    shown: str | None  # the header to echo, without secrets


class Part(msgspec.Struct, frozen=True):
    """A span of an upload, stored as one blob under a lease."""

    offset_bytes: int
    bytes: int
    lease_token: int


def upload_of(row: Any) -> Upload:
    """Convert a row with COLUMNS."""
    return Upload(**dict(row))


def upload_gone() -> RefusedError:
    """The error for an upload of which only the tombstone remains."""
    return RefusedError("upload_gone", "The upload has expired or was terminated. Start a new one.")


def taken_over() -> RefusedError:
    """The error for a request that a newer request replaced."""
    return RefusedError("upload_taken_over", "A newer request took over this upload. Request its offset with HEAD.")


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
# The parts are contiguous and begin at the offset.
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
COUNT_PARTS = "SELECT count(*) FROM upload_parts WHERE upload_id = $1"
PARTS = "SELECT offset_bytes, bytes, lease_token FROM upload_parts WHERE upload_id = $1 ORDER BY offset_bytes"

# A row without a container is a tombstone: the orphan collector took the id because no job was committed in time.
JOB_IS_COMMITTED = "SELECT container <> '' FROM jobs WHERE id = $1"
CHOOSE_JOB = f"UPDATE uploads SET job_id = $3 WHERE id = $1 AND lease_token = $2 RETURNING {COLUMNS}"  # noqa: S608 - constants
COMPLETE = f"""
    UPDATE uploads SET completed_at = now(), options = NULL, filename = NULL WHERE id = $1 AND lease_token = $2
    RETURNING {COLUMNS}
"""  # noqa: S608 - constants
END = f"""
    UPDATE uploads SET ended_at = now(), options = NULL, filename = NULL, metadata = NULL
    WHERE id = $1 AND lease_token = $2 RETURNING {COLUMNS}
"""  # noqa: S608 - constants
# Takes the id, so that a process that froze before its commit cannot commit the job later. An existing job stays.
BLOCK_JOB = """
    INSERT INTO jobs (id, tenant, status, options, container, source_bytes, source_sha256, completed_at, erased_at,
        blobs_erased_at)
    VALUES ($1, $2, 'CANCELLED', '{}', '', 0, '', now(), now(), now())
    ON CONFLICT DO NOTHING
"""
REMOVE_PARTS = """
    WITH cleared AS (
        UPDATE uploads SET parts_removed_at = now() WHERE id = $1 AND lease_token = $2 RETURNING id
    )
    DELETE FROM upload_parts WHERE upload_id IN (SELECT id FROM cleared)
"""


class UploadRows:
    """Raises OutageError, and RefusedError `upload_taken_over` for a holder that lost its lease."""

    def __init__(self, database: Database, quotas: QuotaGate, *, expires_s: float) -> None:
        self._database = database
        self._quotas = quotas
        self._expires_s = expires_s

    async def create(self, tenant: str, upload_id: UUID, length_bytes: int | None, metadata: UploadMetadata) -> Upload:
        """Add an upload without bytes, which reserves its length. A length of None is set later. LimitError."""
        options = encode_submission(metadata.options).decode()
        arguments = length_bytes, options, metadata.filename, metadata.shown, self._expires_s
        async with self._database.transaction(tenant) as connection:
            await self._quotas.require_upload(connection, tenant, length_bytes or 0)
            return upload_of(await connection.fetchrow(CREATE, upload_id, tenant, *arguments))

    async def get(self, tenant: str, upload_id: UUID) -> Upload:
        """Return the upload. RefusedError `not_found` or `upload_gone`."""
        async with self._database.reading(tenant) as connection:
            row = await connection.fetchrow(FIND, tenant, upload_id)
        if row is None:
            raise no_such_upload()
        if row["is_gone"]:
            raise upload_gone()
        return upload_of(row)

    async def set_length(self, upload: Upload, length_bytes: int) -> Upload:
        """Set a deferred length and reserve the rest of it. LimitError."""
        more_bytes = length_bytes - upload.offset_bytes
        return await self._change(SET_LENGTH, upload, length_bytes, more_bytes=more_bytes)

    async def add_parts(self, upload: Upload, parts: Sequence[Part]) -> Upload:
        """Add the parts and move the offset behind them. Their bytes are then acknowledged. LimitError."""
        offsets, sizes = [part.offset_bytes for part in parts], [part.bytes for part in parts]
        more_bytes = sum(sizes) if upload.length_bytes is None else 0  # a known length is reserved
        arguments = offsets, sizes, self._expires_s
        return await self._change(ADD_PARTS, upload, *arguments, more_bytes=more_bytes, more_parts=len(parts))

    async def parts(self, upload: Upload) -> list[Part]:
        """The parts in order of their offsets."""
        async with self._database.reading(upload.tenant) as connection:
            return [Part(*row) for row in await connection.fetch(PARTS, upload.id)]

    async def job_is_committed(self, job_id: UUID) -> bool | None:
        """Whether the job is committed. None: the id is free. False: a tombstone has the id."""
        async with self._database.reading(ALL_TENANTS) as connection:  # tombstones have no tenant
            found: bool | None = await connection.fetchval(JOB_IS_COMMITTED, job_id)
            return found

    async def choose_job(self, upload: Upload, job_id: UUID) -> Upload:
        """Set the id of the future job."""
        return await self._change(CHOOSE_JOB, upload, job_id)

    async def complete(self, upload: Upload) -> Upload:
        """Mark the upload as completed: its job is committed."""
        return await self._change(COMPLETE, upload)

    async def end(self, upload: Upload) -> Upload:
        """Mark the upload as ended: terminated or refused."""
        return await self._change(END, upload)

    async def block_job(self, upload: Upload) -> None:
        """Prevent that the upload becomes a job, unless it is one already."""
        await self._execute(upload.tenant, BLOCK_JOB, upload.job_id, upload.tenant)

    async def remove_parts(self, upload: Upload) -> None:
        """Remove the rows of the parts, after their blobs."""
        await self._execute(upload.tenant, REMOVE_PARTS, upload.id, upload.lease_token)

    async def _change(
        self, statement: str, upload: Upload, *arguments: Any, more_bytes: int = 0, more_parts: int = 0
    ) -> Upload:
        async with self._database.transaction(upload.tenant) as connection:
            if more_parts:
                self._quotas.require_parts(await connection.fetchval(COUNT_PARTS, upload.id) + more_parts)
            if more_bytes:
                await self._quotas.require_bytes(connection, upload.tenant, more_bytes)
            row = await connection.fetchrow(statement, upload.id, upload.lease_token, *arguments)
        if row is None:
            raise taken_over()
        return upload_of(row)

    async def _execute(self, tenant: str, statement: str, *arguments: Any) -> None:
        async with self._database.transaction(tenant) as connection:
            await connection.execute(statement, *arguments)
