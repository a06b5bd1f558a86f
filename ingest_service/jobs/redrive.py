"""Redrives what failed for good, one job or many: each job a transaction of its own, exact however often it is asked.

A job that FAILED gets a new generation; for one that ended, only what could not be delivered is delivered again.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from ingest_service.database import Database
from ingest_service.errors import RefusedError
from ingest_service.jobs.cursors import DeadLetterPosition
from ingest_service.jobs.deliver_again import deliver_again, event_of
from ingest_service.jobs.open_generation import open_generation
from ingest_service.jobs.read_dead_letters import failure_of, fetch_dead_letters, place_of
from ingest_service.jobs.rows import LockedJob, locked_job
from ingest_service.uploads.notify import Bell
from shared.queue.dispatch import Dispatch
from shared.schemas.failures import FailureCode
from shared.schemas.states import JobStatus, TaskKind
from shared.telemetry.logs import Log

log = Log(__name__)

BATCH = 100

DEAD_TASKS = """
    SELECT id, generation, kind, input, failure FROM tasks
    WHERE job_id = $1 AND state = 'dead' AND dismissed_at IS NULL ORDER BY id FOR UPDATE
"""
DISMISS = "UPDATE tasks SET dismissed_at = now() WHERE id = ANY($1::uuid[])"


class RedrivenJob(msgspec.Struct, frozen=True):
    """How a job stands after its redrive, and how many dead letters that settled."""

    status: JobStatus
    dead_letters: int
    dispatches: tuple[Dispatch, ...]


async def redrive_job(
    database: Database, bell: Bell, tenant: str, job_id: str, code: FailureCode | None = None
) -> RedrivenJob:
    """Redrive a job for its dead letters, of one code or all; RefusedError `no_dead_letter`, `job_erased`, …."""
    async with locked_job(database, tenant, job_id) as locked:
        dead = await _dead_letters(locked, code)
        redriven = await (_redeliver(locked, dead) if _only_deliveries(dead) else _work_again(locked))
    bell.ring_soon(*redriven.dispatches)
    log.info("job_redriven", job_id=job_id, dead_letters=redriven.dead_letters)
    return redriven


async def redrive_jobs(database: Database, bell: Bell, tenant: str, code: FailureCode | None) -> int:
    """Redrive whatever has a dead letter now, of one failure code or all; how many dead letters that settled."""
    redriven = 0
    async for job_id in _jobs_with_dead_letters(database, tenant, code):
        try:
            redriven += (await redrive_job(database, bell, tenant, job_id, code)).dead_letters
        except RefusedError as refusal:  # somebody else was faster, or there is no audio left to work on
            log.info("job_not_redriven", job_id=job_id, code=refusal.code)
    return redriven


async def dismiss_dead_letters(database: Database, tenant: str, job_id: str) -> None:
    """Take a job's dead letters off the list for good; RefusedError `no_dead_letter`."""
    async with locked_job(database, tenant, job_id, even_erased=True) as locked:
        dead = await _dead_letters(locked, None)
        await locked.connection.execute(DISMISS, [task["id"] for task in dead])
    log.info("dead_letters_dismissed", job_id=job_id, dead_letters=len(dead))


async def _jobs_with_dead_letters(database: Database, tenant: str, code: FailureCode | None) -> AsyncIterator[str]:
    """Oldest first. What dies while we walk is left for another time, or a walk might never end."""
    async with database.reading(tenant) as connection:
        until = await connection.fetchval("SELECT now()")
    after: DeadLetterPosition | None = None
    while rows := await fetch_dead_letters(database, tenant, code, BATCH, after, until):
        for row in rows:
            yield str(row["job_id"])
        after = place_of(rows[-1])


async def _dead_letters(locked: LockedJob, code: FailureCode | None) -> list[Any]:
    rows = await locked.connection.fetch(DEAD_TASKS, locked.job["id"])
    dead = [row for row in rows if code is None or failure_of(row).code == code]
    if not dead:
        raise RefusedError("no_dead_letter", "The job has no dead letter.")
    return dead


def _only_deliveries(dead: Sequence[Any]) -> bool:
    return all(task["kind"] == TaskKind.DELIVER for task in dead)


async def _redeliver(locked: LockedJob, dead: Sequence[Any]) -> RedrivenJob:
    connection, job = locked
    events = {event_of(task["input"]): task["generation"] for task in dead}
    deliveries = [await deliver_again(connection, job, generation, event) for event, generation in events.items()]
    return RedrivenJob(
        JobStatus(job["status"]),
        sum(delivery.dismissed for delivery in deliveries),
        tuple(dispatch for delivery in deliveries for dispatch in delivery.dispatches),
    )


async def _work_again(locked: LockedJob) -> RedrivenJob:
    connection, job = locked
    if job["audio_erased_at"] is not None:
        raise RefusedError("audio_erased", "The audio of this job was erased: there is nothing left to work on.")
    dead = await _dead_letters(locked, None)
    await connection.execute(DISMISS, [task["id"] for task in dead])
    dispatches = await open_generation(connection, job, chunks_are_lost=any(_lost_a_chunk(task) for task in dead))
    return RedrivenJob(JobStatus.QUEUED, len(dead), dispatches)


def _lost_a_chunk(task: Any) -> bool:
    return task["kind"] in (TaskKind.CHUNK, TaskKind.FINISH) and failure_of(task).code == FailureCode.SOURCE_MISSING
