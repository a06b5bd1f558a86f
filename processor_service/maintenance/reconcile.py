"""Reconcile: compares the dispatched tasks in Postgres with Redis, and enqueues again what Redis does not know.
Prune removes from Redis what Postgres does not expect there.

The age of a dispatch decides nothing: a long backlog is normal. Only very recent dispatches are skipped, since their
enqueue may be in progress. A task that arq considers running but no worker has claimed lost its worker in between.
"""

import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from processor_service.maintenance.rescue import DISPATCH_COLUMNS, dispatches_of
from shared.connections.redis import Redis
from shared.failpoints import failpoint
from shared.queue.dispatch import ARQ_IN_PROGRESS_KEY_PREFIX, QUEUES, Dispatch, dispatch_of
from shared.queue.enqueue import dequeue
from shared.queue.task_costs import TO_FETCH
from shared.schemas.states import TaskKind
from shared.telemetry.logs import Log

log = Log(__name__)

BATCH = 2000
BATCHES_A_RUN = 25
RECENT_S = 4.0  # for an enqueue in progress
UNCLAIMED_S = 5.0  # from arq's claim to ours; a worker whose child restarts may be slower, and then claims nothing

DISPATCHED = f"""
SELECT t.id, dispatch_no, kind, kind = 'prepare' AND {TO_FETCH} AS to_fetch FROM tasks t JOIN jobs j ON j.id = t.job_id
WHERE state = 'dispatched' AND dispatched_at < now() - make_interval(secs => $1) AND t.id > $2
ORDER BY t.id LIMIT $3
"""  # noqa: S608 - constants

REDISPATCH = f"""
UPDATE tasks t SET dispatch_no = t.dispatch_no + 1, dispatched_at = now()
FROM unnest($1::uuid[], $2::int[]) AS unknown(id, dispatch_no), jobs j
WHERE j.id = t.job_id AND t.id = unknown.id AND t.dispatch_no = unknown.dispatch_no AND t.state = 'dispatched'
RETURNING {DISPATCH_COLUMNS}
"""  # noqa: S608 - constants


PAGE = 1000
PAGES_A_RUN = 20

ACTIVE = "SELECT id, dispatch_no FROM tasks WHERE id = ANY($1::uuid[]) AND state IN ('dispatched', 'running')"


class Reconciler:
    """Walks through all dispatched tasks, some batches a run, and starts over."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._after = UUID(int=0)
        self._unclaimed_since_s: dict[str, float] = {}  # arq ids in progress without a claim, on the monotonic clock

    async def __call__(self, connection: asyncpg.Connection) -> list[Dispatch]:
        """Dispatch again the tasks that Redis does not know, or considers running although no worker claimed them."""
        lost: list[Dispatch] = []
        for _ in range(BATCHES_A_RUN):
            rows = await connection.fetch(DISPATCHED, RECENT_S, self._after, BATCH)
            lost += await self._lost(_dispatches(rows))
            self._after = rows[-1]["id"] if len(rows) == BATCH else UUID(int=0)
            if len(rows) < BATCH:
                break
        if not lost:
            return []
        ids, numbers = [one.task_id for one in lost], [one.dispatch_no for one in lost]
        redispatched = dispatches_of(await connection.fetch(REDISPATCH, ids, numbers))
        failpoint("reconcile.before_commit")
        return sorted(redispatched, key=lambda one: one.task_id)  # by age: UUIDv7

    async def _lost(self, dispatches: Sequence[Dispatch]) -> list[Dispatch]:
        if not dispatches:
            return []
        pipe = self._redis.pipeline(transaction=False)
        for dispatch in dispatches:
            pipe.zscore(dispatch.queue, dispatch.arq_id)
            pipe.exists(ARQ_IN_PROGRESS_KEY_PREFIX + dispatch.arq_id)
        answers = await pipe.execute()
        scores, in_progress = answers[::2], answers[1::2]
        return [
            dispatch
            for dispatch, score, running in zip(dispatches, scores, in_progress, strict=True)
            if score is None or self._is_stuck(dispatch, running=bool(running))
        ]

    def _is_stuck(self, dispatch: Dispatch, *, running: bool) -> bool:
        if not running:
            self._unclaimed_since_s.pop(dispatch.arq_id, None)
            return False
        since_s = self._unclaimed_since_s.setdefault(dispatch.arq_id, time.monotonic())
        if time.monotonic() - since_s < UNCLAIMED_S:
            return False
        del self._unclaimed_since_s[dispatch.arq_id]
        return True


def _dispatches(rows: Sequence[asyncpg.Record]) -> list[Dispatch]:
    return [Dispatch(row["id"], row["dispatch_no"], TaskKind(row["kind"]), to_fetch=row["to_fetch"]) for row in rows]


class Pruner:
    """Removes outdated dispatches from arq's queues: of ended tasks, and those that a newer dispatch replaced.

    A process that is killed between its commit and its enqueue leaves them. arq would keep them for days and read them
    before all others. Walks through all queues, some pages a run, and starts over.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._cursors = dict.fromkeys(QUEUES, 0)

    async def __call__(self, connection: asyncpg.Connection) -> None:
        """Prune the next pages of each queue."""
        for queue in self._cursors:
            for _ in range(PAGES_A_RUN):
                await self._prune_page(connection, queue)
                if self._cursors[queue] == 0:
                    break

    async def _prune_page(self, connection: asyncpg.Connection, queue: str) -> None:
        self._cursors[queue], members = await self._redis.zscan(queue, self._cursors[queue], count=PAGE)
        dispatches = [dispatch for member, _ in members if (dispatch := dispatch_of(member.decode(), queue))]
        rows = await connection.fetch(ACTIVE, [one.task_id for one in dispatches])
        outdated = outdated_of(dispatches, {row["id"]: row["dispatch_no"] for row in rows})
        if outdated:
            await dequeue(self._redis, outdated)
            log.info("queue_pruned", queue=queue, dispatches=len(outdated))


def outdated_of(dispatches: Sequence[Dispatch], current: dict[Any, int]) -> list[Dispatch]:
    """Return the dispatches that are not current. `current` holds the dispatch number of each active task."""
    return [one for one in dispatches if current.get(one.task_id) != one.dispatch_no]
