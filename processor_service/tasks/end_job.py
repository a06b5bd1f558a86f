"""Ends a job in the transaction of its last task: writes its state, its webhook event and the task that delivers it."""

import asyncpg
import msgspec

from processor_service.tasks.leases import ClaimedTask
from shared.ids import new_id
from shared.job_changes import INSERT_EVENT
from shared.queue.dispatch import Dispatch
from shared.queue.task_costs import cost_s
from shared.schemas.api import ProblemInJob
from shared.schemas.failures import Failure
from shared.schemas.states import JobStatus, Stage, TaskKind
from shared.schemas.transcript import ResultWarning
from shared.schemas.webhook_events import DeliveryInput, EventType, event_body, event_id

END_JOB = """
UPDATE jobs SET status = $3, completed_at = now(), error_code = $4, error_message = $5,
    stage = coalesce($6, stage), warnings = coalesce($7, warnings), warning_codes = coalesce($8, warning_codes),
    speakers = CASE WHEN $3 = 'COMPLETED' THEN $9 ELSE speakers END
WHERE id = $1 AND generation = $2 AND status = 'PROCESSING'
RETURNING webhook_url, metadata, completed_at
"""

INSERT_TASK = "INSERT INTO tasks (id, job_id, generation, kind, ordinal, input) VALUES ($1, $2, $3, $4, $5, $6)"


async def end_job(  # noqa: PLR0913 - the facts of an ended job
    connection: asyncpg.Connection,
    task: ClaimedTask,
    status: JobStatus,
    *,
    failure: Failure | None = None,
    warnings: tuple[ResultWarning, ...] | None = None,
    speakers: int = 0,
) -> tuple[Dispatch, ...]:
    """End the job of a task. Return the dispatch of its webhook, if it has one, to enqueue after the commit."""
    row = await connection.fetchrow(
        END_JOB,
        task.job_id,
        task.generation,
        status,
        failure.code if failure else None,
        failure.message if failure else None,
        Stage.FINISH if status is JobStatus.COMPLETED else None,
        None if warnings is None else _json(warnings),
        None if warnings is None else codes_of(warnings),
        speakers or None,
    )
    if row is None or not row["webhook_url"]:
        return ()
    return (await _insert_event(connection, task, status, row, failure),)


def codes_of(warnings: tuple[ResultWarning, ...]) -> list[str]:
    """Return the codes of warnings, each once, by which lists filter."""
    return sorted({warning.code for warning in warnings})


async def _insert_event(
    connection: asyncpg.Connection, task: ClaimedTask, status: JobStatus, job: asyncpg.Record, failure: Failure | None
) -> Dispatch:
    """Insert the webhook event and the task that delivers it."""
    event_type = EventType.of(status)
    identifier = event_id(task.job_id, task.generation, event_type)
    body = event_body(
        task.job_id,
        status,
        ended_at=job["completed_at"],
        metadata_json=job["metadata"],
        error=ProblemInJob(code=failure.code, message=failure.message) if failure else None,
    )
    await connection.execute(INSERT_EVENT, identifier, task.job_id, task.generation, event_type, body)
    return await insert_task(connection, task, TaskKind.DELIVER, 0, DeliveryInput(event_id=identifier))


async def insert_task(
    connection: asyncpg.Connection,
    parent: ClaimedTask,
    kind: TaskKind,
    ordinal: int,
    task_input: msgspec.Struct | None = None,
) -> Dispatch:
    """Insert a task into the generation of another. Return its dispatch, to enqueue after the commit."""
    task_id = new_id()
    input_json = _json(task_input) if task_input else None
    await connection.execute(INSERT_TASK, task_id, parent.job_id, parent.generation, kind, ordinal, input_json)
    return Dispatch(task_id, 1, kind, parent.tenant, cost_s(kind), interactive=parent.interactive)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
