"""Opens the transaction of whatever changes a job or its tasks: it holds the job's row from the first statement on.

Locks are always taken job first, then tasks by id, here and in the processor, so that nobody ever deadlocks.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec

from ingest_service.database import Database
from ingest_service.jobs.queries import job_erased, no_such_job, parse_job_id
from shared.ids import new_id
from shared.queue.dispatch import Dispatch
from shared.queue.task_costs import cost_s
from shared.schemas.states import TaskKind, TaskState

# Inserts tasks into a job that is locked; the bell is rung for them after the commit.

INSERT_TASK = """
    INSERT INTO tasks (id, job_id, generation, kind, ordinal, state, input, progress, finished_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $6 = 'done' THEN 1 ELSE 0 END, CASE WHEN $6 = 'done' THEN now() END)
"""


class NewTask(msgspec.Struct, frozen=True):
    """A task to insert: to be done, or done already in an earlier generation."""

    kind: TaskKind
    ordinal: int = 0
    state: TaskState = TaskState.DISPATCHED
    input_json: str | None = None


async def insert_tasks(connection: Any, job: Any, generation: int, tasks: Iterable[NewTask]) -> tuple[Dispatch, ...]:
    """Insert them into a job, of which the row is given; what to ring for once they are committed."""
    rows = [(new_id(), job["id"], generation, task.kind, task.ordinal, task.state, task.input_json) for task in tasks]
    await connection.executemany(INSERT_TASK, rows)
    return tuple(
        Dispatch(task_id, 1, kind, job["tenant"], _cost_s(kind, job))
        for task_id, _, _, kind, _, state, _ in rows
        if state is TaskState.DISPATCHED
    )


def _cost_s(kind: TaskKind, job: Any) -> int:
    return cost_s(kind, **{name: job[name] for name in ("source_bytes", "container", "duration_s", "chunk_count")})


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
