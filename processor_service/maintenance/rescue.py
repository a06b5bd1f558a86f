"""Rescue: dispatches tasks whose lease expired, or makes them dead after too many crashes. Wake: dispatches due tasks.

A lease must be expired in two consecutive runs, with the same token. After an outage of the database all leases have
expired although their workers live; by the second run those have extended them.
"""

import time
from collections.abc import Callable, Sequence
from uuid import UUID

import asyncpg

from processor_service.errors import LeaseLostError
from processor_service.tasks.claim import CLAIMED_TASK, claimed_task
from processor_service.tasks.outcomes import Crashed
from processor_service.tasks.retry import MAX_CRASHES, RetryPolicy
from processor_service.tasks.settle import settle_lost
from processor_service.telemetry.metrics import count_settled
from shared.failpoints import failpoint
from shared.queue.dispatch import Dispatch
from shared.queue.task_costs import TO_FETCH, cost_of_row, is_fetch
from shared.schemas.states import TaskKind
from shared.telemetry.logs import Log

log = Log(__name__)

BATCH = 500
CONSECUTIVE_S = 3.0  # the longest time between two consecutive runs

# What a dispatch needs of a task `t` and its job `j`.
DISPATCH_COLUMNS = f"""t.id, t.dispatch_no, t.kind, t.started_at IS NOT NULL AS has_begun,
    tenant, interactive, queue, source_bytes, container, duration_s, chunk_count, {TO_FETCH} AS to_fetch"""

WAKE = f"""
UPDATE tasks t SET state = 'dispatched', dispatch_no = dispatch_no + 1, dispatched_at = now(), not_before = NULL
FROM jobs j
WHERE j.id = t.job_id AND (t.job_id, t.id) IN (
    SELECT job_id, id FROM tasks WHERE state = 'waiting' AND not_before <= now()
    ORDER BY not_before LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING {DISPATCH_COLUMNS}
"""  # noqa: S608 - constants

EXPIRED = """
SELECT id, lease_token, job_id FROM tasks WHERE state = 'running' AND lease_expires_at < now()
ORDER BY lease_expires_at LIMIT $1
"""

RESCUE = f"""
UPDATE tasks t SET state = 'dispatched', dispatch_no = dispatch_no + 1, dispatched_at = now(),
    crashes = crashes + 1, progress = 0, lease_expires_at = NULL, leased_by = NULL
FROM jobs j
WHERE j.id = t.job_id AND t.job_id = ANY($4::uuid[]) AND j.id = ANY($4::uuid[]) AND t.id IN (
    SELECT t.id FROM tasks t JOIN unnest($1::uuid[], $2::bigint[]) AS seen(id, token)
        ON t.id = seen.id AND t.lease_token = seen.token
    WHERE t.job_id = ANY($4::uuid[]) AND t.state = 'running' AND t.lease_expires_at < now() AND t.crashes + 1 < $3
    ORDER BY t.id FOR UPDATE OF t SKIP LOCKED)
RETURNING {DISPATCH_COLUMNS}
"""  # noqa: S608 - constants

LOST_TOO_OFTEN = f"""
SELECT {CLAIMED_TASK} FROM tasks t JOIN jobs j ON j.id = t.job_id
WHERE t.id = ANY($1::uuid[]) AND t.job_id = ANY($3::uuid[]) AND j.id = ANY($3::uuid[])
    AND t.state = 'running' AND t.crashes + 1 >= $2
"""  # noqa: S608 - constants

Lease = tuple[UUID, int, UUID]  # task, token, job


class Rescuer:
    """Rescues the tasks of lost workers. `run_once` of the maintenance loop."""

    def __init__(
        self, pool: asyncpg.Pool, policy: RetryPolicy, job_changed: Callable[[UUID, str], None] = lambda *_: None
    ) -> None:
        """`job_changed` is called with a job and its tenant, after the job has failed here."""
        self._pool = pool
        self._job_changed = job_changed
        self._policy = policy
        self._seen: set[Lease] = set()
        self._ran_s = 0.0  # on the monotonic clock

    async def __call__(self, connection: asyncpg.Connection) -> list[Dispatch]:
        """Rescue the tasks whose leases were expired in the previous run too."""
        expired = {(row["id"], row["lease_token"], row["job_id"]) for row in await connection.fetch(EXPIRED, BATCH)}
        is_consecutive = time.monotonic() - self._ran_s <= CONSECUTIVE_S
        lost = sorted(expired & self._seen) if is_consecutive else []
        self._seen, self._ran_s = expired, time.monotonic()
        if not lost:
            return []
        # Poison first: the rescue of its siblings would hold locks that it needs.
        dispatches = await self._settle_poison(lost)
        return dispatches + await self._rescue(connection, lost)

    async def _rescue(self, connection: asyncpg.Connection, lost: list[Lease]) -> list[Dispatch]:
        ids, tokens, jobs = map(list, zip(*lost, strict=True))
        rows = await connection.fetch(RESCUE, ids, tokens, MAX_CRASHES, jobs)
        failpoint("rescue.before_commit")
        return dispatches_of(rows)

    async def _settle_poison(self, lost: list[Lease]) -> list[Dispatch]:
        dispatches: list[Dispatch] = []
        ids, _, jobs = map(list, zip(*lost, strict=True))
        for row in await self._pool.fetch(LOST_TOO_OFTEN, ids, MAX_CRASHES, jobs):
            task = claimed_task(row)
            crash = Crashed("its worker was lost")
            try:
                after_commit = await settle_lost(self._pool, task, crash, policy=self._policy)
            except LeaseLostError:
                continue  # the worker has just extended its lease
            self._job_changed(task.job_id, task.tenant)
            count_settled(task.kind, crash, has_dead_letter=after_commit.has_dead_letter)
            log.warning("task_poisoned", task_id=task.id, job_id=task.job_id)
            dispatches += after_commit.dispatches
        return dispatches


async def wake(connection: asyncpg.Connection) -> list[Dispatch]:
    """Dispatch waiting tasks that are due."""
    rows = await connection.fetch(WAKE, BATCH)
    failpoint("wake.before_commit")
    return dispatches_of(rows)


def dispatches_of(rows: Sequence[asyncpg.Record]) -> list[Dispatch]:
    """Convert rows with DISPATCH_COLUMNS."""
    return [
        Dispatch(
            row["id"],
            row["dispatch_no"],
            kind,
            row["tenant"],
            cost_of_row(kind, row),
            row["has_begun"],
            is_fetch(kind, row),
            row["interactive"],
            row["queue"],
        )
        for row, kind in ((row, TaskKind(row["kind"])) for row in rows)
    ]
