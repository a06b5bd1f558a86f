"""Prune: takes out of arq's queues what nothing stands behind any more: dispatches of ended tasks, or overtaken ones.

A worker or an upkeep that is killed between its commit and the bell leaves such; arq would keep them for days, and look
at them before anything else. Only what the record disowns is taken out.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import asyncpg

from shared.queue.dispatch import COMPUTE_QUEUE, DELIVERY_QUEUE, Dispatch, dispatch_of
from shared.queue.enqueue import silence
from shared.telemetry.logs import Log

log = Log(__name__)

PAGE = 1000
PAGES_A_TURN = 20

ALIVE = "SELECT id, dispatch_no FROM tasks WHERE id = ANY($1::uuid[]) AND state IN ('dispatched', 'running')"


class Redis(Protocol):
    """The part of `redis.asyncio.Redis` that pruning needs."""

    def zscan(self, name: str, cursor: int, *, count: int) -> Any: ...

    def pipeline(self, transaction: bool = True) -> Any: ...  # noqa: FBT001, FBT002 - redis-py's signature


class Pruner:
    """Walks through both queues, some pages a turn, and starts over. Dispatches nothing."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._cursors = dict.fromkeys((COMPUTE_QUEUE, DELIVERY_QUEUE), 0)

    async def __call__(self, connection: asyncpg.Connection) -> list[Dispatch]:
        """One turn."""
        for queue in self._cursors:
            for _ in range(PAGES_A_TURN):
                await self._prune_page(connection, queue)
                if self._cursors[queue] == 0:
                    break
        return []

    async def _prune_page(self, connection: asyncpg.Connection, queue: str) -> None:
        self._cursors[queue], members = await self._redis.zscan(queue, self._cursors[queue], count=PAGE)
        dispatches = [dispatch for member, _ in members if (dispatch := dispatch_of(member.decode(), queue))]
        rows = await connection.fetch(ALIVE, [one.task_id for one in dispatches])
        disowned = overtaken(dispatches, {row["id"]: row["dispatch_no"] for row in rows})
        if disowned:
            await silence(self._redis, disowned)
            log.info("queue_pruned", queue=queue, dispatches=len(disowned))


def overtaken(dispatches: Sequence[Dispatch], alive: dict[Any, int]) -> list[Dispatch]:
    """Those that are not the current dispatch of a task that is to be done; `alive`: of each such task the number."""
    return [one for one in dispatches if alive.get(one.task_id) != one.dispatch_no]
