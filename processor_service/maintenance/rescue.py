"""Rescue: tasks whose lease ran out have lost their worker; they are dispatched anew, or dead when that is too often.

A lease must be found expired in two turns, with the same token. After an outage of the database all leases have run out
although their workers live; by the second turn these have renewed them.
"""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from processor_service.tasks.leases import claimed_task
from processor_service.tasks.outcomes import Crashed
from processor_service.tasks.retry import MAX_CRASHES, RetryPolicy
from processor_service.tasks.settle import LeaseLostError, settle_lost
from processor_service.telemetry.count_outcome import count_settled
from shared.failpoints import failpoint
from shared.queue.dispatch import Dispatch
from shared.queue.task_costs import cost_s
from shared.schemas.states import TaskKind
from shared.telemetry.logs import Log

BATCH = 500


# Makes the dispatches of upkeep: of each task what the queue must know of it and of its job.

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


# Wake: tasks whose wait is over are dispatched for their next attempt.


WAKE = f"""
UPDATE tasks t SET state = 'dispatched', dispatch_no = dispatch_no + 1, dispatched_at = now(), not_before = NULL
FROM jobs j
WHERE j.id = t.job_id AND t.id IN (
    SELECT id FROM tasks WHERE state = 'waiting' AND not_before <= now()
    ORDER BY not_before LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING {COLUMNS}
"""  # noqa: S608 - constants


async def wake(connection: asyncpg.Connection) -> list[Dispatch]:
    """Dispatch what is due; the caller rings after the commit."""
    rows = await connection.fetch(WAKE, BATCH)
    failpoint("wake.before_commit")
    return dispatches_of(rows)


log = Log(__name__)


EXPIRED = """
SELECT id, lease_token FROM tasks WHERE state = 'running' AND lease_expires_at < now()
ORDER BY lease_expires_at LIMIT $1
"""

RESCUE = f"""
UPDATE tasks t SET state = 'dispatched', dispatch_no = dispatch_no + 1, dispatched_at = now(),
    crashes = crashes + 1, progress = 0, lease_expires_at = NULL, leased_by = NULL
FROM jobs j
WHERE j.id = t.job_id AND t.id IN (
    SELECT t.id FROM tasks t JOIN unnest($1::uuid[], $2::bigint[]) AS seen(id, token)
        ON t.id = seen.id AND t.lease_token = seen.token
    WHERE t.state = 'running' AND t.lease_expires_at < now() AND t.crashes + 1 < $3
    ORDER BY t.id FOR UPDATE OF t SKIP LOCKED)
RETURNING {COLUMNS}
"""  # noqa: S608 - constants

LOST_TOO_OFTEN = """
SELECT t.id, t.job_id, t.generation, t.kind, t.ordinal, t.lease_token, t.attempts, t.crashes, t.input,
       j.options, j.tenant, j.chunk_count, coalesce(j.chunk_generation, t.generation) AS chunk_generation, j.warnings
FROM tasks t JOIN jobs j ON j.id = t.job_id
WHERE t.id = ANY($1::uuid[]) AND t.state = 'running' AND t.crashes + 1 >= $2
"""

Lease = tuple[UUID, int]


class Rescuer:
    """Takes back what lost workers held."""

    def __init__(self, pool: asyncpg.Pool, policy: RetryPolicy) -> None:
        self._pool = pool
        self._policy = policy
        self._seen: set[Lease] = set()

    async def __call__(self, connection: asyncpg.Connection) -> list[Dispatch]:
        """One turn."""
        expired = {(row["id"], row["lease_token"]) for row in await connection.fetch(EXPIRED, BATCH)}
        lost = sorted(expired & self._seen)
        self._seen = expired
        if not lost:
            return []
        # The hopeless first: the rescue of their siblings would hold locks that burying them needs.
        dispatches = await self._bury_hopeless(lost)
        return dispatches + await self._rescue(connection, lost)

    async def _rescue(self, connection: asyncpg.Connection, lost: list[Lease]) -> list[Dispatch]:
        ids, tokens = [task_id for task_id, _ in lost], [token for _, token in lost]
        rows = await connection.fetch(RESCUE, ids, tokens, MAX_CRASHES)
        failpoint("rescue.before_commit")
        return dispatches_of(rows)

    async def _bury_hopeless(self, lost: list[Lease]) -> list[Dispatch]:
        dispatches: list[Dispatch] = []
        for row in await self._pool.fetch(LOST_TOO_OFTEN, [task_id for task_id, _ in lost], MAX_CRASHES):
            task = claimed_task(row)
            crash = Crashed("its worker was lost")
            try:
                aftermath = await settle_lost(self._pool, task, crash, policy=self._policy)
            except LeaseLostError:
                continue  # the worker came back in the last moment
            count_settled(task.kind, crash, has_dead_letter=aftermath.has_dead_letter)
            log.warning("task_poisoned", task_id=task.id, job_id=task.job_id)
            dispatches += aftermath.dispatches
        return dispatches
