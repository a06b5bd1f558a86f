"""Inserts tasks into a job that is locked; the bell is rung for them after the commit."""

from collections.abc import Iterable
from typing import Any

import msgspec

from shared.ids import new_id
from shared.queue.dispatch import Dispatch
from shared.queue.task_costs import cost_s
from shared.schemas.states import TaskKind, TaskState

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
