"""Makes the dispatches of upkeep: of each task what the queue must know of it and of its job."""

from collections.abc import Sequence

import asyncpg

from shared.queue.dispatch import Dispatch
from shared.queue.task_costs import cost_s
from shared.schemas.states import TaskKind

# What the statements below read of a task `t` and its job `j`.
COLUMNS = """t.id, t.dispatch_no, t.kind, t.started_at IS NOT NULL AS has_begun,
    j.tenant, j.source_bytes, j.container, j.duration_s, j.chunk_count"""
JOB_FACTS = ("source_bytes", "container", "duration_s", "chunk_count")


def dispatches_of(rows: Sequence[asyncpg.Record]) -> list[Dispatch]:
    """The dispatches of rows with COLUMNS."""
    return [_dispatch(row, TaskKind(row["kind"])) for row in rows]


def _dispatch(row: asyncpg.Record, kind: TaskKind) -> Dispatch:
    cost = cost_s(kind, **{name: row[name] for name in JOB_FACTS})
    return Dispatch(row["id"], row["dispatch_no"], kind, row["tenant"], cost, row["has_begun"])
