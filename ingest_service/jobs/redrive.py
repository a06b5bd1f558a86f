"""Redrive and dismiss dead letters. Each job is redriven in its own transaction; a repeated request changes nothing.

A FAILED job gets a new generation. For a job whose webhook failed, only the webhook is delivered again.
"""

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import msgspec

from ingest_service.database import Database
from ingest_service.errors import RefusedError
from ingest_service.jobs.pages import cut, page_of
from ingest_service.jobs.queries import no_such_job, parse_job_id
from ingest_service.jobs.rows import LockedJob, NewTask, insert_tasks, locked_job
from ingest_service.jobs.views import DeadLetterPosition, encode_dead_letter_cursor
from ingest_service.jobs.webhooks import deliver_again, event_of
from ingest_service.quotas.quotas import QuotaGate
from ingest_service.uploads.notify import DispatchNotifier
from shared.connections.tenancy import ALL_TENANTS
from shared.queue.dispatch import Dispatch
from shared.schemas.api import DeadLetterList
from shared.schemas.failures import FailureCode, StoredFailure, dead_letter
from shared.schemas.states import JobStatus, Stage, TaskKind, TaskState
from shared.telemetry.logs import Log

log = Log(__name__)

BATCH = 100

DEAD_TASKS = """
    SELECT id, generation, kind, input, failure FROM tasks
    WHERE job_id = $1 AND state = 'dead' AND dismissed_at IS NULL ORDER BY id FOR UPDATE
"""
OWNER = "SELECT tenant FROM jobs WHERE id = $1"
DISMISS = "UPDATE tasks SET dismissed_at = now() WHERE id = ANY($1::uuid[])"


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
    tenant = await _owner(database, tenant, job_id)
    async with locked_job(database, tenant, job_id) as locked:
        dead = await _dead_letters(locked, code)
        if _only_deliveries(dead):
            redriven = await _redeliver(locked, dead)
        else:
            redriven = await _restart(locked)
            await quotas.require_room_in_queue(locked.connection, tenant)
    notifier.notify_soon(*redriven.dispatches)
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


async def dismiss_dead_letters(database: Database, tenant: str, job_id: str) -> None:
    """Remove a job's dead letters from the list for good. Raise RefusedError `no_dead_letter`."""
    tenant = await _owner(database, tenant, job_id)
    async with locked_job(database, tenant, job_id, even_erased=True) as locked:
        dead = await _dead_letters(locked, None)
        await locked.connection.execute(DISMISS, [task["id"] for task in dead])
    log.info("dead_letters_dismissed", job_id=job_id, tenant=tenant, dead_letters=len(dead))


async def _owner(database: Database, tenant: str, job_id: str) -> str:
    """Return the tenant of a job if `tenant` is ALL_TENANTS. The change is then made for that tenant only."""
    if tenant != ALL_TENANTS:
        return tenant
    async with database.reading(ALL_TENANTS) as connection:
        owner: str | None = await connection.fetchval(OWNER, parse_job_id(job_id))
    if owner is None:
        raise no_such_job()
    return owner


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


async def _restart(locked: LockedJob) -> RedrivenJob:
    connection, job = locked
    if job["audio_erased_at"] is not None:
        raise RefusedError("audio_erased", "The audio of this job was erased. Submit the audio again.")
    dead = await _dead_letters(locked, None)
    await connection.execute(DISMISS, [task["id"] for task in dead])
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


# The list of dead letters: dead tasks that are neither redriven nor dismissed, oldest first.

# The code is compared as text: `->>` fails for a row with a NUL in its traceback.
_SELECT = r"""
    SELECT t.id, t.finished_at, t.job_id, t.generation, t.kind, t.ordinal, t.failure, t.attempts, t.first_failed_at,
           t.last_failed_at, j.tenant, j.options
    FROM tasks t JOIN jobs j ON j.id = t.job_id
    WHERE ($1::text = '*' OR j.tenant = $1) AND t.state = 'dead' AND t.dismissed_at IS NULL
        AND ($2::text IS NULL OR t.failure::text ~ ('^\s*{\s*"code"\s*:\s*"' || $2 || '"'))
        AND ($3::timestamptz IS NULL OR (t.finished_at, t.id) > ($3, $4::uuid))
        AND ($5::timestamptz IS NULL OR t.finished_at <= $5)
    ORDER BY t.finished_at, t.id LIMIT $6
"""
DEAD_LETTERS = f"WITH {page_of(_SELECT, 'finished_at, id')} SELECT * FROM page ORDER BY finished_at, id"  # noqa: S608 - constants


async def list_dead_letters(  # noqa: PLR0913 - a query and its viewer
    database: Database,
    tenant: str,
    code: FailureCode | None,
    limit: int,
    after: DeadLetterPosition | None,
    *,
    for_operator: bool,
) -> DeadLetterList:
    """Return a page of dead letters of a tenant or of ALL_TENANTS, of one failure code or of all, after `after`."""
    page = cut(await fetch_dead_letters(database, tenant, code, limit + 1, after), limit)
    next_cursor = encode_dead_letter_cursor(position_of(page.rows[-1])) if page.has_more else None
    letters = tuple(dead_letter(row, for_operator=for_operator) for row in page.rows)
    return DeadLetterList(dead_letters=letters, next_cursor=next_cursor)


async def fetch_dead_letters(  # noqa: PLR0913, PLR0917 - the parameters of one query
    database: Database,
    tenant: str,
    code: FailureCode | None,
    limit: int,
    after: DeadLetterPosition | None,
    until: dt.datetime | None = None,
) -> list[Any]:
    """Return the rows of a page. `until` excludes tasks that died later."""
    died_at, task_id = after or (None, None)
    async with database.reading(tenant) as connection:
        return list(await connection.fetch(DEAD_LETTERS, tenant, code, died_at, task_id, until, limit))


def position_of(row: Any) -> DeadLetterPosition:
    """Return a dead letter's position in the list."""
    return DeadLetterPosition(row["finished_at"], UUID(int=row["id"].int))


def failure_of(row: Any) -> StoredFailure:
    """Return the failure of a dead task."""
    return msgspec.json.decode(row["failure"], type=StoredFailure)
