"""Reconcile: compares the dispatched tasks in Postgres with Redis, and enqueues again what Redis does not know.
Prune removes from Redis what Postgres does not expect there.

The age of a dispatch decides nothing: a long backlog is normal. Only very recent dispatches are skipped, since their
enqueue may be in progress. A task that was taken from its queue and not claimed lost its worker in between.

A task is looked up in the Redis of its tenant, and in the others if it is not there: when the list of Redis changes,
what waits stays where it is and is taken there. A Redis that is unavailable is skipped, with the tasks of its tenants.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from processor_service.maintenance.rescue import DISPATCH_COLUMNS, dispatches_of
from shared.connections.redis import FAILED, Redis
from shared.connections.redis_shards import Answers, RedisShard, RedisShards, ask_each
from shared.failpoints import failpoint
from shared.ids import jobs_of
from shared.queue.dispatch import Dispatch, dispatch_of
from shared.queue.enqueue import dequeue
from shared.queue.fair_shares import look, queues_in_use, taken_key
from shared.queue.task_costs import TO_FETCH
from shared.schemas.states import TaskKind
from shared.telemetry.logs import Log

log = Log(__name__)

BATCH = 2000
BATCHES_A_RUN = 25
RECENT_S = 4.0  # for an enqueue in progress
UNCLAIMED_S = 5.0  # after it was taken; a worker whose child restarts may be slower, and then claims nothing

DISPATCHED = f"""
SELECT t.id, dispatch_no, kind, j.tenant, j.queue, kind = 'prepare' AND {TO_FETCH} AS to_fetch
FROM tasks t JOIN jobs j ON j.id = t.job_id
WHERE state = 'dispatched' AND dispatched_at < now() - make_interval(secs => $1) AND t.id > $2
ORDER BY t.id LIMIT $3
"""  # noqa: S608 - constants

REDISPATCH = f"""
UPDATE tasks t SET dispatch_no = t.dispatch_no + 1, dispatched_at = now()
FROM unnest($1::uuid[], $2::int[]) AS unknown(id, dispatch_no), jobs j
WHERE j.id = t.job_id AND t.job_id BETWEEN $3 AND $4 AND j.id BETWEEN $3 AND $4
    AND t.id = unknown.id AND t.dispatch_no = unknown.dispatch_no AND t.state = 'dispatched'
RETURNING {DISPATCH_COLUMNS}
"""  # noqa: S608 - constants


PAGE = 1000
PAGES_A_RUN = 20

ACTIVE = """
SELECT id, dispatch_no FROM tasks
WHERE id = ANY($1::uuid[]) AND job_id BETWEEN $2 AND $3 AND state IN ('dispatched', 'running')
"""


class Reconciler:
    """Walks through all dispatched tasks, some batches a run, and starts over."""

    def __init__(self, shards: RedisShards) -> None:
        self._shards = shards
        self._after = UUID(int=0)

    async def __call__(self, connection: asyncpg.Connection) -> list[Dispatch]:
        """Dispatch again the tasks that neither wait in Redis nor were taken a moment ago."""
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
        redispatched = dispatches_of(await connection.fetch(REDISPATCH, ids, numbers, *jobs_of(ids)))
        failpoint("reconcile.before_commit")
        return sorted(redispatched, key=lambda one: one.task_id)  # by age: UUIDv7

    async def _lost(self, dispatches: Sequence[Dispatch]) -> list[Dispatch]:
        kept = await self._kept(dispatches)
        lost = [one for one in dispatches if one.arq_id not in kept]
        if lost and len(self._shards) > 1:
            elsewhere = await _ask_known(self._shards, lost)
            lost = [one for one in lost if not any(one.arq_id in some for some in elsewhere.by_shard.values())]
        return lost

    async def _kept(self, dispatches: Sequence[Dispatch]) -> set[str]:
        """Return the arq ids that the Redis of their tenants know, or may know while they are unavailable.

        Raise redis-py's errors and OSError if all are.
        """
        groups = self._shards.grouped(dispatches, lambda dispatch: dispatch.tenant)
        answers = await asyncio.gather(*(_ask_known([shard], group) for shard, group in groups))
        errors = [error for each in answers for error in each.errors]
        if errors and len(errors) == len(groups):
            raise errors[0]
        kept: set[str] = set()
        for each, (_, group) in zip(answers, groups, strict=True):
            kept |= {one.arq_id for one in group} if each.errors else set().union(*each.by_shard.values())
        return kept


async def _ask_known(shards: Iterable[RedisShard], dispatches: Sequence[Dispatch]) -> Answers[set[str]]:
    """Return of each Redis the arq ids that wait in it or were taken a moment ago."""
    by_queue: dict[str, list[str]] = {}
    for dispatch in dispatches:
        by_queue.setdefault(dispatch.queue, []).append(dispatch.arq_id)

    async def ask(redis: Redis) -> set[str]:
        return {one for queue, names in by_queue.items() for one in await _known_of(redis, queue, names)}

    return await ask_each(shards, ask)


async def _known_of(redis: Redis, queue: str, names: list[str]) -> list[str]:
    """Read the queue before the marks: a task that is taken in between is found in one of them."""
    pipe = redis.pipeline(transaction=False)
    pipe.zmscore(queue, names)
    pipe.zmscore(taken_key(queue), names)
    pipe.time()
    scores, taken_ms, (seconds, microseconds) = await pipe.execute()
    unclaimed_ms = (seconds - UNCLAIMED_S) * 1000 + microseconds / 1000
    return [
        name
        for name, score, at_ms in zip(names, scores, taken_ms, strict=True)
        if score is not None or (at_ms is not None and at_ms >= unclaimed_ms)
    ]


def _dispatches(rows: Sequence[asyncpg.Record]) -> list[Dispatch]:
    return [
        Dispatch(
            row["id"],
            row["dispatch_no"],
            TaskKind(row["kind"]),
            row["tenant"],
            to_fetch=row["to_fetch"],
            queue_name=row["queue"],
        )
        for row in rows
    ]


class Pruner:
    """Removes outdated dispatches from arq's queues: of ended tasks, and those that a newer dispatch replaced.

    A process that is killed between its commit and its enqueue leaves them. Walks through all queues, some pages a run,
    and starts over.
    """

    def __init__(self, shards: RedisShards) -> None:
        self._shards = shards
        self._cursors: dict[tuple[str, str], int] = {}  # by names of Redis and queue

    async def has_work(self) -> bool:
        """Return whether any dispatch waits in a Redis that answers."""
        return any((await ask_each(self._shards, _holds_dispatches)).by_shard.values())

    async def __call__(self, connection: asyncpg.Connection) -> None:
        """Prune the next pages of each queue. Raise an error of a Redis after the others."""
        error: Exception | None = None
        for shard in self._shards:
            try:
                await self._prune(connection, shard)
            except FAILED as failure:
                error = failure
        if error:
            raise error

    async def _prune(self, connection: asyncpg.Connection, shard: RedisShard) -> None:
        for queue in await shard.ask(queues_in_use):
            for _ in range(PAGES_A_RUN):
                await self._prune_page(connection, shard, queue)
                if not self._cursors[shard.name, queue]:
                    break

    async def _prune_page(self, connection: asyncpg.Connection, shard: RedisShard, queue: str) -> None:
        cursor = self._cursors.get((shard.name, queue), 0)
        self._cursors[shard.name, queue], members = await shard.ask(
            lambda redis: redis.zscan(queue, cursor, count=PAGE)
        )
        dispatches = [dispatch for member, _ in members if (dispatch := dispatch_of(member.decode(), queue))]
        if not dispatches:
            return
        ids = [one.task_id for one in dispatches]
        rows = await connection.fetch(ACTIVE, ids, *jobs_of(ids))
        outdated = outdated_of(dispatches, {row["id"]: row["dispatch_no"] for row in rows})
        if outdated:
            await shard.ask(lambda redis: dequeue(redis, outdated))
            log.info("queue_pruned", queue=queue, dispatches=len(outdated))


async def _holds_dispatches(redis: Redis) -> bool:
    return any(each.tasks for each in await look(redis, await queues_in_use(redis)))


def outdated_of(dispatches: Sequence[Dispatch], current: dict[Any, int]) -> list[Dispatch]:
    """Return the dispatches that are not current. `current` holds the dispatch number of each active task."""
    return [one for one in dispatches if current.get(one.task_id) != one.dispatch_no]
