"""Adds dispatches of committed tasks to arq's queues in Redis, and removes them: one round trip a batch.

Call it after the commit, never before. A failure is not the caller's error: the database has the row, and the
processor's reconciler enqueues what Redis does not know. Enqueuing twice has the effect of once.

A dispatch replaces the previous one of its task.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial
from uuid import UUID

from shared.connections.redis import Redis
from shared.connections.redis_shards import RedisShard, RedisShards
from shared.failpoints import failpoint
from shared.job_hints import messages_of
from shared.queue.dispatch import ARQ_JOB_KEY_PREFIX, Dispatch
from shared.queue.fair_shares import arguments_of, call, new_jobs_of

BATCH = 500  # dispatches a call: Redis serves nothing else during a call, which takes some milliseconds


async def enqueue(redis: Redis, dispatches: Sequence[Dispatch], *, changed: Mapping[UUID, str] = {}) -> None:
    """Enqueue the dispatches, each with the score that its tenant's fair share gives it.

    Publish that the tenants of new jobs have some. `changed`: also publish of these jobs, with their tenants, that they
    have changed: with the first dispatches, so that it costs no request. Without dispatches, nothing is published.
    Raises the client's errors when Redis is unavailable; any part of the dispatches may have arrived then.
    """
    if not dispatches:
        return
    queues: dict[str, list[Dispatch]] = {}
    for dispatch in dispatches:
        queues.setdefault(dispatch.queue, []).append(dispatch)
    now_ms = time.time_ns() // 1_000_000  # for arq's record only: it decides nothing
    hints = messages_of(changed)
    failpoint("enqueue.before_exec")
    for queue, batch in queues.items():
        for at in range(0, len(batch), BATCH):
            arguments = [
                # Encoded here: the client would look at each argument ten times.
                argument if isinstance(argument, bytes) else str(argument).encode()
                for dispatch in batch[at : at + BATCH]
                for argument in arguments_of(dispatch, enqueued_at_ms=now_ms)
            ]
            messages = [*hints, *new_jobs_of(batch[at : at + BATCH])]
            await call(redis, queue, "enqueue", arguments, messages=messages)
            hints = []
    failpoint("enqueue.after_exec")


async def enqueue_of_job(shards: RedisShards, dispatches: Sequence[Dispatch], job_id: UUID, tenant: str) -> None:
    """Enqueue the dispatches of a job that has changed, and publish that. Raises the client's errors."""
    await _enqueue_in(shards.of(tenant), dispatches, {job_id: tenant})


async def enqueue_by_tenant(shards: RedisShards, dispatches: Sequence[Dispatch]) -> None:
    """Enqueue each dispatch in the Redis of its tenant. One that is unavailable does not delay the others.

    Raises the client's errors after the others have their dispatches.
    """
    groups = shards.grouped(dispatches, lambda dispatch: dispatch.tenant)
    results = await asyncio.gather(*(_enqueue_in(*group) for group in groups), return_exceptions=True)
    for error in results:
        if error is not None:
            raise error


async def _enqueue_in(shard: RedisShard, dispatches: Sequence[Dispatch], changed: Mapping[UUID, str] = {}) -> None:
    for at in range(0, len(dispatches), BATCH):
        batch = dispatches[at : at + BATCH]
        await shard.ask(partial(enqueue, dispatches=batch, changed=changed))
        changed = {}


async def dequeue(redis: Redis, dispatches: Sequence[Dispatch]) -> None:
    """Remove dispatches from their queues, with their payloads."""
    pipe = redis.pipeline(transaction=True)
    for dispatch in dispatches:
        pipe.zrem(dispatch.queue, dispatch.arq_id)
        pipe.delete(ARQ_JOB_KEY_PREFIX + dispatch.arq_id)
    await pipe.execute()
