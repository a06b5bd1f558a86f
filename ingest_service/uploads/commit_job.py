"""Commits a job, in a transaction of its own; tells what nobody can know from what did not happen."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg

from ingest_service.database import Database, begun
from ingest_service.errors import CommitUnknownError, OutageError
from shared.failpoints import failpoint
from shared.telemetry.logs import Log

log = Log(__name__)

Insert = Callable[[Any], Awaitable[None]]
AlsoCommit = Callable[[Any, UUID, str], Awaitable[None]]  # on the job's connection: its id and its fingerprint


async def commit_job(database: Database, tenant: str, job_id: UUID, insert: Insert) -> None:
    """Commit what `insert` writes. Raises OutageError, then nothing is recorded, or CommitUnknownError."""
    committing = False  # from then on it is open whether the job exists, until COMMIT is answered
    try:
        async with database.connection() as connection:
            async with begun(connection, tenant):
                await insert(connection)
                failpoint("submit.before_commit")
                committing = True
            failpoint("submit.after_commit")
    except asyncpg.UniqueViolationError as error:
        # the collector of orphans has it: this process stood still for so long
        raise OutageError("storage_unavailable", "The upload took too long to record; send it again.") from error
    except (OutageError, asyncio.CancelledError) as error:
        if not committing:
            raise
        log.warning("commit_unknown", job_id=str(job_id))
        raise CommitUnknownError("database_unavailable", "The database is away; try again later.") from error
