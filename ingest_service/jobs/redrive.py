"""Redrive dead letters. Each job is redriven in its own transaction; a repeated request changes nothing.

A FAILED job gets a new generation. For a job whose webhook failed, only the webhook is delivered again.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from ingest_service.database import Database
from ingest_service.errors import RefusedError
from ingest_service.jobs.dead_letters import dead_tasks_of, failure_of, fetch_dead_letters, owner_of, position_of
from ingest_service.jobs.rows import LockedJob, NewTask, insert_tasks, locked_job
from ingest_service.jobs.views import DeadLetterPosition
from ingest_service.jobs.webhooks import deliver_again, event_of
from ingest_service.quotas.quotas import QuotaGate
from ingest_service.uploads.notify import DispatchNotifier
from shared.queue.dispatch import Dispatch
from shared.schemas.failures import FailureCode
from shared.schemas.options import has_source_headers
from shared.schemas.states import JobStatus, Stage, TaskKind, TaskState
from shared.telemetry.logs import Log

log = Log(__name__)

BATCH = 100

DISMISS = "UPDATE tasks SET dismissed_at = now() WHERE job_id = $1 AND id = ANY($2::uuid[])"


class RedrivenJob(msgspec.Struct, frozen=True):
    """A job's status after its redrive, and the number of dismissed dead letters."""

    status: JobStatus
    dead_letters: int
    dispatches: tuple[Dispatch, ...]


async def redrive_job(  # noqa: PLR0913, PLR0917 - what the transaction needs
    database: Database,
    notifier: DispatchNotifier,
    quotas: QuotaGate,
    tenant: str,
    job_id: str,
    code: FailureCode | None = None,
) -> RedrivenJob:
    """Redrive a job with dead letters, of one code or of all. `tenant`: the job's, or ALL_TENANTS.

    Raise RefusedError `no_dead_letter`, `job_erased`, …; LimitError if the job would exceed the quota of queued jobs.
    """
    tenant = await owner_of(database, tenant, job_id)
    async with locked_job(database, tenant, job_id) as locked:
        dead = await dead_tasks_of(locked, code)
        if _only_deliveries(dead):
            redriven = await _redeliver(locked, dead)
        else:
            redriven = await _restart(locked)
            await quotas.require_room_in_queue(locked.connection, tenant)
    notifier.notify_soon(*redriven.dispatches)
    notifier.job_changed(locked.job["id"], tenant)
    log.info("job_redriven", job_id=job_id, tenant=tenant, dead_letters=redriven.dead_letters)
    return redriven


async def redrive_jobs(
    database: Database, notifier: DispatchNotifier, quotas: QuotaGate, tenant: str, code: FailureCode | None
) -> int:
    """Redrive all jobs with dead letters, of one code or of all. Return the number of dismissed dead letters."""
    redriven = 0
    async for owner, job_id in _jobs_with_dead_letters(database, tenant, code):
        try:
            redriven += (await redrive_job(database, notifier, quotas, owner, job_id, code)).dead_letters
        except RefusedError as refusal:  # another request redrove it, its audio was erased, or the queue is full
            log.info("job_not_redriven", job_id=job_id, code=refusal.code)
    return redriven


async def _jobs_with_dead_letters(
    database: Database, tenant: str, code: FailureCode | None
) -> AsyncIterator[tuple[str, str]]:
    """Yield tenants and job ids, oldest dead letter first. Jobs that die meanwhile are left out, so that it ends."""
    async with database.reading(tenant) as connection:
        until = await connection.fetchval("SELECT now()")
    after: DeadLetterPosition | None = None
    while rows := await fetch_dead_letters(database, tenant, code, BATCH, after, until):
        for row in rows:
            yield row["tenant"], str(row["job_id"])
        after = position_of(rows[-1])


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


async def _restart(locked: LockedJob) -> RedrivenJob:
    connection, job = locked
    if job["audio_erased_at"] is not None:
        raise RefusedError("audio_erased", "The audio of this job was erased. Submit the audio again.")
    if job["to_fetch"] and has_source_headers(job["options"]):
        raise RefusedError(
            "source_headers_erased",
            "The `audio_headers` of this job were erased when it ended, and its source is not stored. Submit it again.",
        )
    dead = await dead_tasks_of(locked, None)
    await connection.execute(DISMISS, job["id"], [task["id"] for task in dead])
    dispatches = await open_generation(connection, job, chunks_are_lost=any(_lost_a_chunk(task) for task in dead))
    return RedrivenJob(JobStatus.QUEUED, len(dead), dispatches)


def _lost_a_chunk(task: Any) -> bool:
    return task["kind"] in (TaskKind.CHUNK, TaskKind.FINISH) and failure_of(task).code == FailureCode.SOURCE_MISSING


# A new generation of a FAILED job. Finished chunks are kept. `plan` decides what to do; `open_generation` does it.

CHUNKS = """
    SELECT ordinal, state, input FROM tasks
    WHERE job_id = $1 AND generation = $2 AND kind = 'chunk' ORDER BY ordinal
"""
# The chunks' blobs stay under the generation that made them.
REOPEN_JOB = """
    UPDATE jobs SET status = 'QUEUED', generation = generation + 1, stage = $3, chunk_count = $4, chunks_done = $5,
        chunk_generation = CASE WHEN $4 > 0 THEN coalesce(chunk_generation, generation) END,
        warnings = CASE WHEN $4 > 0 THEN warnings ELSE '[]' END,
        warning_codes = CASE WHEN $4 > 0 THEN warning_codes END,
        error_code = NULL, error_message = NULL, started_at = NULL, completed_at = NULL
    WHERE id = $1 AND status = 'FAILED' AND generation = $2
    RETURNING generation
"""
# Chunks that are done keep their engines and times.
KEEP_WORK = """
    UPDATE tasks AS kept SET engine = done.engine, model = done.model, started_at = done.started_at,
        finished_at = done.finished_at
    FROM tasks AS done
    WHERE kept.job_id = $1 AND kept.generation = $3 AND kept.kind = 'chunk' AND kept.state = 'done'
        AND done.job_id = $1 AND done.generation = $2 AND done.kind = 'chunk' AND done.ordinal = kept.ordinal
"""


class Plan(msgspec.Struct, frozen=True):
    """How a generation begins."""

    stage: Stage
    tasks: tuple[NewTask, ...]
    chunk_count: int = 0
    chunks_done: int = 0


FROM_THE_START = Plan(Stage.PREPARE, (NewTask(TaskKind.PREPARE),))


def plan(chunks: Sequence[NewTask], chunk_count: int) -> Plan:
    """Continue with the chunks if all of them exist; otherwise start from the source."""
    if not chunks or len(chunks) != chunk_count:
        return FROM_THE_START
    done = sum(chunk.state is TaskState.DONE for chunk in chunks)
    if done == chunk_count:
        return Plan(Stage.FINISH, (*chunks, NewTask(TaskKind.FINISH)), chunk_count, done)
    return Plan(Stage.TRANSCRIBE, tuple(chunks), chunk_count, done)


async def open_generation(connection: Any, job: Any, *, chunks_are_lost: bool) -> tuple[Dispatch, ...]:
    """Queue a locked FAILED job again. Return what to enqueue after the commit."""
    chunks = [] if chunks_are_lost else await connection.fetch(CHUNKS, job["id"], job["generation"])
    planned = plan([_chunk_task(row) for row in chunks], job["chunk_count"])
    numbers = planned.chunk_count, planned.chunks_done
    generation = await connection.fetchval(REOPEN_JOB, job["id"], job["generation"], planned.stage, *numbers)
    dispatches = await insert_tasks(connection, job, generation, planned.tasks)
    if planned.chunks_done:
        await connection.execute(KEEP_WORK, job["id"], job["generation"], generation)
    return dispatches


def _chunk_task(row: Any) -> NewTask:
    state = TaskState.DONE if row["state"] == TaskState.DONE else TaskState.DISPATCHED
    return NewTask(TaskKind.CHUNK, row["ordinal"], state, row["input"])
