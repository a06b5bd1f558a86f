"""Write to the database what the processor writes for a job, and publish hints as it does."""

from typing import Any
from uuid import UUID

import msgspec

from shared.ids import new_id
from shared.schemas.failures import Failure, FailureCode
from shared.schemas.states import JobStatus, TaskKind
from shared.schemas.webhook_events import DeliveryInput, EventType, event_body, event_id
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav

HOOK = "http://client.example/hook"

END_TASK = """
    UPDATE tasks SET state = $2, failure = $3, attempts = attempts + 1, finished_at = now(),
        first_failed_at = now(), last_failed_at = now()
    WHERE id = $1
"""
END_JOB = """
    UPDATE jobs SET status = $2, started_at = coalesce(started_at, now()), completed_at = now(),
        error_code = $3, error_message = $4
    WHERE id = $1 RETURNING *
"""
INSERT_TASK = """
    INSERT INTO tasks (id, job_id, generation, kind, ordinal, state, input, progress)
    VALUES ($1, $2, $3, $4, $5, $6, $7, CASE WHEN $6 = 'done' THEN 1 ELSE 0 END)
"""


async def job_row(ingest: Ingest, job_id: str) -> Any:
    (row,) = await ingest.sql("SELECT * FROM jobs WHERE id = $1", job_id)
    return row


async def tasks_of(ingest: Ingest, job_id: str, kind: str | None = None, generation: int | None = None) -> list[Any]:
    query = (
        "SELECT * FROM tasks WHERE job_id = $1 AND kind = coalesce($2, kind) AND generation = coalesce($3, generation)"
    )
    return await ingest.sql(query + " ORDER BY generation, kind, ordinal", job_id, kind, generation)


async def end_task(ingest: Ingest, task_id: UUID, state: str, code: FailureCode | None = None) -> None:
    failure = Failure(code=code, message="It broke.", traceback="at \x00") if code else None
    await ingest.sql(END_TASK, task_id, state, msgspec.json.encode(failure).decode() if failure else None)


async def end_job(ingest: Ingest, job_id: str, status: JobStatus, code: FailureCode | None = None) -> str:
    """End a job as `settle` does: with its event, and a deliver task if it has a webhook. Return the event's id."""
    (job,) = await ingest.sql(END_JOB, job_id, status, code, code and "It broke.")
    await ingest.hint(job_id)
    event = event_id(job["id"], job["generation"], EventType.of(status))
    if job["webhook_url"]:
        body = event_body(job["id"], status, ended_at=job["completed_at"], metadata_json=job["metadata"])
        await ingest.sql(
            "INSERT INTO webhook_events (id, job_id, generation, type, body) VALUES ($1, $2, $3, $4, $5)",
            event, job["id"], job["generation"], EventType.of(status), body,
        )  # fmt: skip
        delivery = msgspec.json.encode(DeliveryInput(event)).decode()
        await insert_task(ingest, job_id, TaskKind.DELIVER, input_json=delivery, generation=job["generation"])
    return event


async def fail(ingest: Ingest, job_id: str, code: FailureCode = FailureCode.TIMEOUT) -> str:
    """Let the job's open task die, and the job with it."""
    (task,) = await ingest.sql("SELECT id FROM tasks WHERE job_id = $1 AND state = 'dispatched'", job_id)
    await end_task(ingest, task["id"], "dead", code)
    return await end_job(ingest, job_id, JobStatus.FAILED, code)


async def complete(ingest: Ingest, job_id: str) -> str:
    await ingest.sql("UPDATE tasks SET state = 'done', finished_at = now() WHERE job_id = $1", job_id)
    return await end_job(ingest, job_id, JobStatus.COMPLETED)


async def start(ingest: Ingest, job_id: str) -> None:
    await ingest.sql("UPDATE jobs SET status = 'PROCESSING', started_at = now() WHERE id = $1", job_id)
    await ingest.sql(
        "UPDATE tasks SET state = 'running', lease_token = 1, lease_expires_at = now() + interval '15 s' "
        "WHERE job_id = $1 AND state = 'dispatched'",
        job_id,
    )
    await ingest.hint(job_id)


async def insert_task(  # noqa: PLR0913
    ingest: Ingest,
    job_id: str,
    kind: TaskKind,
    ordinal: int = 0,
    *,
    state: str = "dispatched",
    input_json: str | None = None,
    generation: int = 1,
) -> UUID:
    task_id = new_id()
    await ingest.sql(INSERT_TASK, task_id, job_id, generation, kind, ordinal, state, input_json)
    return task_id


async def cut(ingest: Ingest, job_id: str, *states: str) -> list[UUID]:
    """Insert chunks of the job in these states."""
    await ingest.sql("UPDATE tasks SET state = 'done' WHERE job_id = $1 AND kind = 'prepare'", job_id)
    done = states.count("done")
    await ingest.sql(
        "UPDATE jobs SET status = 'PROCESSING', stage = 'transcribe', started_at = now(), chunk_count = $2, "
        "chunks_done = $3, chunk_generation = generation WHERE id = $1",
        job_id, len(states), done,
    )  # fmt: skip
    return [
        await insert_task(ingest, job_id, TaskKind.CHUNK, ordinal, state=state, input_json=f'{{"chunk":{ordinal}}}')
        for ordinal, state in enumerate(states)
    ]


async def failed(ingest: Ingest, code: FailureCode = FailureCode.TIMEOUT, **query: str) -> str:
    """Make a job that FAILED with its first task."""
    job_id = await ingest.submit(wav(), **query)
    await fail(ingest, job_id, code)
    return job_id


async def dead_letters(ingest: Ingest, **query: str) -> list[dict[str, Any]]:
    status, page = await ingest.get("/v1/dead-letters", params=query)
    assert status == 200, page
    found: list[dict[str, Any]] = page["dead_letters"]
    return found
