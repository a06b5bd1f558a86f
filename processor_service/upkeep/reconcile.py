"""Reconcile: compares the record with the bell, and rings again for dispatched tasks that Redis does not know.

It compares and never guesses by age: a long backlog is normal. Only what was dispatched a moment ago is left alone,
since its bell may be on its way.
"""

from collections.abc import Sequence
from typing import Any, Protocol
from uuid import UUID

import asyncpg

from shared.messages import Dispatch
from shared.states import TaskKind

BATCH = 2000
JUST_NOW_S = 5.0

DISPATCHED = """
SELECT id, dispatch_no, kind FROM tasks
WHERE state = 'dispatched' AND dispatched_at < now() - make_interval(secs => $1) AND id > $2
ORDER BY id LIMIT $3
"""

REDISPATCH = """
UPDATE tasks t SET dispatch_no = t.dispatch_no + 1, dispatched_at = now()
FROM unnest($1::uuid[], $2::int[]) AS unknown(id, dispatch_no)
WHERE t.id = unknown.id AND t.dispatch_no = unknown.dispatch_no AND t.state = 'dispatched'
RETURNING t.id, t.dispatch_no, t.kind
"""


class Redis(Protocol):
    """The part of `redis.asyncio.Redis` that comparing needs."""

    def pipeline(self, transaction: bool = True) -> Any: ...  # noqa: FBT001, FBT002 - redis-py's signature


class Reconciler:
    """Walks through all dispatched tasks, a batch a turn, and starts over."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._after = UUID(int=0)

    async def __call__(self, connection: asyncpg.Connection) -> list[Dispatch]:
        """Dispatch anew what Redis does not know of this batch."""
        rows = await connection.fetch(DISPATCHED, JUST_NOW_S, self._after, BATCH)
        self._after = rows[-1]["id"] if len(rows) == BATCH else UUID(int=0)
        unknown = await self._unknown(_dispatches(rows))
        if not unknown:
            return []
        ids, numbers = [one.task_id for one in unknown], [one.dispatch_no for one in unknown]
        return _dispatches(await connection.fetch(REDISPATCH, ids, numbers))

    async def _unknown(self, dispatches: Sequence[Dispatch]) -> list[Dispatch]:
        if not dispatches:
            return []
        pipe = self._redis.pipeline(transaction=False)
        for dispatch in dispatches:
            pipe.zscore(dispatch.queue, dispatch.arq_id)
        scores = await pipe.execute()
        return [dispatch for dispatch, score in zip(dispatches, scores, strict=True) if score is None]


def _dispatches(rows: Sequence[asyncpg.Record]) -> list[Dispatch]:
    return [Dispatch(row["id"], row["dispatch_no"], TaskKind(row["kind"])) for row in rows]
