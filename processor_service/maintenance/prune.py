"""Prune: removes outdated dispatches from arq's queues: those of ended tasks, and those replaced by a newer dispatch.

A process that is killed between its commit and its enqueue leaves them. arq would keep them for days and read them
before all others.
"""

from collections.abc import Sequence
from typing import Any

import asyncpg

from shared.connections.redis import Redis
from shared.queue.dispatch import COMPUTE_QUEUE, DELIVERY_QUEUE, Dispatch, dispatch_of
from shared.queue.enqueue import dequeue
from shared.telemetry.logs import Log

log = Log(__name__)

PAGE = 1000
PAGES_A_RUN = 20

ACTIVE = "SELECT id, dispatch_no FROM tasks WHERE id = ANY($1::uuid[]) AND state IN ('dispatched', 'running')"


class Pruner:
    """Walks through both queues, some pages a run, and starts over. Returns no dispatches."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._cursors = dict.fromkeys((COMPUTE_QUEUE, DELIVERY_QUEUE), 0)

    async def __call__(self, connection: asyncpg.Connection) -> list[Dispatch]:
        """Prune the next pages of each queue."""
        for queue in self._cursors:
            for _ in range(PAGES_A_RUN):
                await self._prune_page(connection, queue)
                if self._cursors[queue] == 0:
                    break
        return []

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
