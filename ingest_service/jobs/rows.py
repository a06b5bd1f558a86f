"""Change a job and its tasks in a transaction that locks the job's row first.

The lock order is the same here and in the processor: the job, then its tasks by id. So there are no deadlocks.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec

from ingest_service.database import Database
from ingest_service.jobs.queries import job_erased, no_such_job, parse_job_id
from shared.ids import new_task_id
from shared.queue.dispatch import Dispatch
from shared.queue.task_costs import TO_FETCH, cost_of_row, is_fetch
from shared.schemas.states import JOB_TERMINAL, JobStatus, TaskKind, TaskState

LOCK_JOB = f"""
    SELECT id, tenant, status, generation, options, metadata, webhook_url, container, source_bytes, duration_s,
           channels, chunk_count, text_generation, results_generation, erased_at, audio_erased_at, interactive, queue,
           coalesce(attached_at > now() - interval '10 s', false) AS was_attached_lately,
           {TO_FETCH} AS to_fetch
    FROM jobs WHERE tenant = $1 AND id = $2 FOR UPDATE
"""  # noqa: S608 - constants


class LockedJob(NamedTuple):
    """A connection in a transaction, and the job's row, locked until the commit."""

    connection: Any
    job: Any


@asynccontextmanager
async def locked_job(
    database: Database, tenant: str, job_id: str, *, even_erased: bool = False
) -> AsyncIterator[LockedJob]:
    """Commit the block's changes to a job. Raise RefusedError `not_found` or `job_erased`, and OutageError."""
    parsed = parse_job_id(job_id)
    async with database.transaction(tenant) as connection:
        job = await connection.fetchrow(LOCK_JOB, tenant, parsed)
        if job is None:
            raise no_such_job()
        if job["erased_at"] is not None and not even_erased:
            raise job_erased()
        yield LockedJob(connection, job)


def has_ended(job: Any) -> bool:
    """Return whether a job's status is final."""
    return JobStatus(job["status"]) in JOB_TERMINAL


def results_generation(job: Any) -> int | None:
    """Return the generation whose transcript is served; None: there is none."""
    generation: int | None = job["generation"] if job["status"] == JobStatus.COMPLETED else job["results_generation"]
    return generation


INSERT_TASK = """
    INSERT INTO tasks (id, job_id, generation, kind, ordinal, state, input, progress, finished_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $6 = 'done' THEN 1 ELSE 0 END, CASE WHEN $6 = 'done' THEN now() END)
"""


class NewTask(msgspec.Struct, frozen=True):
    """A task to insert: to be executed, or already done in an earlier generation."""

    kind: TaskKind
    ordinal: int = 0
    state: TaskState = TaskState.DISPATCHED
    input_json: str | None = None


async def insert_tasks(connection: Any, job: Any, generation: int, tasks: Iterable[NewTask]) -> tuple[Dispatch, ...]:
    """Insert tasks into a locked job. Return what to enqueue after the commit."""
    rows = [
        (new_task_id(job["id"]), job["id"], generation, task.kind, task.ordinal, task.state, task.input_json)
        for task in tasks
    ]
    await connection.executemany(INSERT_TASK, rows)
    return tuple(
        Dispatch(
            task_id,
            1,
            kind,
            job["tenant"],
            cost_of_row(kind, job),
            to_fetch=is_fetch(kind, job),
            interactive=job["interactive"],
            queue_name=job["queue"],
        )
        for task_id, _, _, kind, _, state, _ in rows
        if state is TaskState.DISPATCHED
    )
