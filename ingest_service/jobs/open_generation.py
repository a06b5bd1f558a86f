"""Opens a new generation of a job that FAILED: its work starts again, but for the chunks that were finished.

What is to be done is a pure decision (`plan`); one place carries it out.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from ingest_service.jobs.insert_tasks import NewTask, insert_tasks
from shared.queue.dispatch import Dispatch
from shared.schemas.states import Stage, TaskKind, TaskState

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
