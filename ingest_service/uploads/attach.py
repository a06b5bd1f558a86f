"""Attaches a request that waits for its job to the job of an equal request.

Clients that time out send the same request again, without a key. They get the job that the first request made, while
it runs and for some time after its end. Requests are equal if tenant, audio and options are.
"""

from typing import Any
from uuid import UUID

from ingest_service.database import Database
from ingest_service.quotas.quotas import QuotaGate
from ingest_service.uploads.commit import AlsoCommit, insert_job, transaction_of
from ingest_service.uploads.job_row import JobRow
from shared.telemetry.logs import Log

log = Log(__name__)

FAILED_S = 60  # a repeat within this time gets the failure; a later one starts a new job
RECENT_JOBS = 1000  # of a tenant, in which an equal request is expected

# Equal requests commit in sequence, so that one of them makes the job. The first number is "attc" in ASCII.
LOCK = "SELECT pg_advisory_xact_lock(x'61747463'::int, hashtext($1 || ' ' || $2))"
IS_ATTACHABLE = f"""
    erased_at IS NULL AND (status IN ('QUEUED', 'PROCESSING')
        OR status = 'COMPLETED' AND completed_at > now() - make_interval(secs => $2)
        OR status = 'FAILED' AND completed_at > now() - make_interval(secs => least($2, {FAILED_S})))
"""
# The condition is checked again if another transaction has just changed the job, such as to CANCELLED.
ATTACH = f"""
    UPDATE jobs SET attached_at = now()
    WHERE {IS_ATTACHABLE} AND id = (
        SELECT id FROM jobs WHERE tenant = $1 AND attach_key = $3 AND {IS_ATTACHABLE} ORDER BY id DESC LIMIT 1)
    RETURNING id
"""  # noqa: S608 - constants
MAY_ATTACH = f"""
    SELECT EXISTS (
        SELECT FROM (SELECT * FROM jobs WHERE tenant = $1 ORDER BY id DESC LIMIT {RECENT_JOBS}) AS recent
        WHERE attach_key IS NOT NULL AND {IS_ATTACHABLE})
"""  # noqa: S608 - constants


class Attacher:
    """Commits jobs to which equal requests attach."""

    def __init__(self, database: Database, quotas: QuotaGate, *, ended_s: float) -> None:
        """`ended_s`: how long after its end a completed job is still attached to."""
        self._database = database
        self._quotas = quotas
        self._ended_s = ended_s

    async def commit(self, row: JobRow, identity: str, *, also: AlsoCommit | None) -> UUID | None:
        """Return the job of an equal request; or commit the row and return None.

        A job that is attached to counts towards no quota again. Raises what `commit_job` raises.
        """
        async with transaction_of(self._database, row) as connection:
            found = await self._find(connection, row)
            if found is None:
                await insert_job(connection, self._quotas, row)
            if also:
                await also(connection, found or row.job_id, identity)
        if found:
            log.info("job_attached", job_id=found, tenant=row.tenant)
        return found

    async def may_attach(self, tenant: str) -> bool:
        """Return whether the tenant has a job to which some request may attach. Raise OutageError."""
        async with self._database.reading(tenant) as connection:
            return bool(await connection.fetchval(MAY_ATTACH, tenant, self._ended_s))

    async def _find(self, connection: Any, row: JobRow) -> UUID | None:
        await connection.execute(LOCK, row.tenant, row.attach_key)
        found: UUID | None = await connection.fetchval(ATTACH, row.tenant, self._ended_s, row.attach_key)
        return found
