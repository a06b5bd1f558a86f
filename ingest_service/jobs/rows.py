"""Opens the transaction of whatever changes a job or its tasks: it holds the job's row from the first statement on.

Locks are always taken job first, then tasks by id, here and in the processor, so that nobody ever deadlocks.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from ingest_service.database import Database
from ingest_service.jobs.queries import job_erased, no_such_job, parse_job_id

LOCK_JOB = """
    SELECT id, tenant, status, generation, options, metadata, webhook_url, container, source_bytes, duration_s,
           chunk_count, erased_at, audio_erased_at
    FROM jobs WHERE tenant = $1 AND id = $2 FOR UPDATE
"""


class LockedJob(NamedTuple):
    """A connection in a transaction, and the row of the job as it stands until the commit."""

    connection: Any
    job: Any


@asynccontextmanager
async def locked_job(
    database: Database, tenant: str, job_id: str, *, even_erased: bool = False
) -> AsyncIterator[LockedJob]:
    """Commit what the block does to a job. Raises RefusedError `not_found` or `job_erased`, and OutageError."""
    parsed = parse_job_id(job_id)
    async with database.transaction(tenant) as connection:
        job = await connection.fetchrow(LOCK_JOB, tenant, parsed)
        if job is None:
            raise no_such_job()
        if job["erased_at"] is not None and not even_erased:
            raise job_erased()
        yield LockedJob(connection, job)
