"""Reconcile: compares the record with the bell, and rings again for dispatched tasks that Redis does not know.

It compares and never guesses by age: a long backlog is normal. Only what was dispatched a moment ago is left alone,
since its bell may be on its way. A task that arq takes for running, and nobody has claimed, lost its worker in between.
"""

import time
from collections.abc import Sequence
from typing import Any, Protocol
from uuid import UUID

import asyncpg

from processor_service.maintenance.rescue import COLUMNS, dispatches_of
from shared.failpoints import failpoint
from shared.queue.dispatch import ARQ_IN_PROGRESS_KEY_PREFIX, Dispatch
from shared.schemas.states import TaskKind

BATCH = 2000
BATCHES_A_TURN = 25
JUST_NOW_S = 4.0
UNCLAIMED_S = 5.0  # from arq's claim to ours; a worker whose child is restarting may be slower, and then claims nothing

DISPATCHED = """
SELECT id, dispatch_no, kind FROM tasks
WHERE state = 'dispatched' AND dispatched_at < now() - make_interval(secs => $1) AND id > $2
ORDER BY id LIMIT $3
"""

REDISPATCH = f"""
UPDATE tasks t SET dispatch_no = t.dispatch_no + 1, dispatched_at = now()
FROM unnest($1::uuid[], $2::int[]) AS unknown(id, dispatch_no), jobs j
WHERE j.id = t.job_id AND t.id = unknown.id AND t.dispatch_no = unknown.dispatch_no AND t.state = 'dispatched'
RETURNING {COLUMNS}
"""  # noqa: S608 - constants


class Redis(Protocol):
    """The part of `redis.asyncio.Redis` that comparing needs."""

    def pipeline(self, transaction: bool = True) -> Any: ...  # noqa: FBT001, FBT002 - redis-py's signature


class Reconciler:
    """Walks through all dispatched tasks, some batches a turn, and starts over."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._after = UUID(int=0)
        self._unclaimed_since_s: dict[str, float] = {}  # arq ids in progress without a claim, by our monotonic clock

    async def __call__(self, connection: asyncpg.Connection) -> list[Dispatch]:
        """Dispatch anew what Redis does not know, or takes for running when it is not."""
        lost: list[Dispatch] = []
        for _ in range(BATCHES_A_TURN):
            rows = await connection.fetch(DISPATCHED, JUST_NOW_S, self._after, BATCH)
            lost += await self._lost(_dispatches(rows))
            self._after = rows[-1]["id"] if len(rows) == BATCH else UUID(int=0)
            if len(rows) < BATCH:
                break
        if not lost:
            return []
        ids, numbers = [one.task_id for one in lost], [one.dispatch_no for one in lost]
        redispatched = dispatches_of(await connection.fetch(REDISPATCH, ids, numbers))
        failpoint("reconcile.before_commit")
        return sorted(redispatched, key=lambda one: one.task_id)  # as they came; UUIDv7

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
    return [Dispatch(row["id"], row["dispatch_no"], TaskKind(row["kind"])) for row in rows]
