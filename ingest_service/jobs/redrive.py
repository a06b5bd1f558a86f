"""Redrives what failed for good, one job or many: each job a transaction of its own, exact however often it is asked.

A job that FAILED gets a new generation; for one that ended, only what could not be delivered is delivered again.
"""

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import msgspec

from ingest_service.database import Database
from ingest_service.errors import RefusedError
from ingest_service.jobs.deliver_again import deliver_again, event_of
from ingest_service.jobs.rows import LockedJob, NewTask, insert_tasks, locked_job
from ingest_service.jobs.views import DeadLetterPosition, encode_dead_letter_cursor
from ingest_service.uploads.notify import Bell
from shared.queue.dispatch import Dispatch
from shared.schemas.api import DeadLetterList
from shared.schemas.failures import FailureCode, StoredFailure, dead_letter
from shared.schemas.states import JobStatus, Stage, TaskKind, TaskState
from shared.telemetry.logs import Log

# Opens a new generation of a job that FAILED: its work starts again, but for the chunks that were finished.
#
# What is to be done is a pure decision (`plan`); one place carries it out.

CHUNKS = """
    SELECT ordinal, state, input FROM tasks
    WHERE job_id = $1 AND generation = $2 AND kind = 'chunk' ORDER BY ordinal
"""
# The chunks' blobs stay where the generation that cut them put them.
REOPEN_JOB = """
    UPDATE jobs SET status = 'QUEUED', generation = generation + 1, stage = $3, chunk_count = $4, chunks_done = $5,
        chunk_generation = CASE WHEN $4 > 0 THEN coalesce(chunk_generation, generation) END,
        warnings = CASE WHEN $4 > 0 THEN warnings ELSE '[]' END,
        error_code = NULL, error_message = NULL, started_at = NULL, completed_at = NULL
    WHERE id = $1 AND status = 'FAILED' AND generation = $2
    RETURNING generation
"""


class Plan(msgspec.Struct, frozen=True):
    """How a generation begins."""

    stage: Stage
    tasks: tuple[NewTask, ...]
    chunk_count: int = 0
    chunks_done: int = 0


FROM_THE_START = Plan(Stage.PREPARE, (NewTask(TaskKind.PREPARE),))


def plan(chunks: Sequence[NewTask], chunk_count: int) -> Plan:
    """Go on with the chunks that were cut, or start over if there are none, or not all."""
    if not chunks or len(chunks) != chunk_count:
        return FROM_THE_START
    done = sum(chunk.state is TaskState.DONE for chunk in chunks)
    if done == chunk_count:
        return Plan(Stage.FINISH, (*chunks, NewTask(TaskKind.FINISH)), chunk_count, done)
    return Plan(Stage.TRANSCRIBE, tuple(chunks), chunk_count, done)


async def open_generation(connection: Any, job: Any, *, chunks_are_lost: bool) -> tuple[Dispatch, ...]:
    """Queue a locked, FAILED job again; what to ring for after the commit."""
    chunks = [] if chunks_are_lost else await connection.fetch(CHUNKS, job["id"], job["generation"])
    planned = plan([_again(row) for row in chunks], job["chunk_count"])
    numbers = planned.chunk_count, planned.chunks_done
    generation = await connection.fetchval(REOPEN_JOB, job["id"], job["generation"], planned.stage, *numbers)
    return await insert_tasks(connection, job, generation, planned.tasks)


def _again(row: Any) -> NewTask:
    state = TaskState.DONE if row["state"] == TaskState.DONE else TaskState.DISPATCHED
    return NewTask(TaskKind.CHUNK, row["ordinal"], state, row["input"])


# Reads the dead letters: tasks that are dead and neither redriven nor discarded, oldest first.

# The code is compared as text: `->>` refuses a row whole when there is a NUL in its traceback.
DEAD_LETTERS = """
    SELECT t.id, t.finished_at, t.job_id, t.generation, t.kind, t.ordinal, t.failure, t.attempts, t.first_failed_at,
           t.last_failed_at, j.tenant, j.options
    FROM tasks t JOIN jobs j ON j.id = t.job_id
    WHERE j.tenant = $1 AND t.state = 'dead' AND t.dismissed_at IS NULL
        AND ($2::text IS NULL OR t.failure::text ~ ('^\\s*{\\s*"code"\\s*:\\s*"' || $2 || '"'))
        AND ($3::timestamptz IS NULL OR (t.finished_at, t.id) > ($3, $4::uuid))
        AND ($5::timestamptz IS NULL OR t.finished_at <= $5)
    ORDER BY t.finished_at, t.id LIMIT $6
"""


async def list_dead_letters(
    database: Database, tenant: str, code: FailureCode | None, limit: int, after: DeadLetterPosition | None
) -> DeadLetterList:
    """A page of dead letters, of one failure code or of all, those behind `after` only."""
    rows = await fetch_dead_letters(database, tenant, code, limit + 1, after)
    next_cursor = encode_dead_letter_cursor(place_of(rows[limit - 1])) if len(rows) > limit else None
    return DeadLetterList(dead_letters=tuple(dead_letter(row) for row in rows[:limit]), next_cursor=next_cursor)


async def fetch_dead_letters(  # noqa: PLR0913, PLR0917 - the parameters of one query
    database: Database,
    tenant: str,
    code: FailureCode | None,
    limit: int,
    after: DeadLetterPosition | None,
    until: dt.datetime | None = None,
) -> list[Any]:
    """The rows of a page; `until` leaves out what died later."""
    died_at, task_id = after or (None, None)
    async with database.reading(tenant) as connection:
        return list(await connection.fetch(DEAD_LETTERS, tenant, code, died_at, task_id, until, limit))


def place_of(row: Any) -> DeadLetterPosition:
    """Where a dead letter stands in the list."""
    return DeadLetterPosition(row["finished_at"], UUID(int=row["id"].int))


def failure_of(row: Any) -> StoredFailure:
    """What a task died of."""
    return msgspec.json.decode(row["failure"], type=StoredFailure)


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
