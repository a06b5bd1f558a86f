"""Adds dispatches of committed tasks to arq's queues in Redis, and removes them: one round trip a batch.

Call it after the commit, never before. A failure is not the caller's error: the database has the row, and the
processor's reconciler enqueues what Redis does not know. Enqueuing twice has the effect of once.

A dispatch replaces the previous one of its task, which would else stay in arq's queue for days after its worker died.
"""

import time
from collections.abc import Sequence

from shared.connections.redis import Redis
from shared.failpoints import failpoint
from shared.queue.dispatch import ARQ_IN_PROGRESS_KEY_PREFIX, ARQ_JOB_KEY_PREFIX, ARQ_RETRY_KEY_PREFIX, Dispatch
from shared.queue.fair_shares import arguments_of, call

BATCH = 500  # dispatches a call: Redis serves nothing else during a call, which takes some milliseconds
KEYS_OF_A_DISPATCH = (ARQ_JOB_KEY_PREFIX, ARQ_IN_PROGRESS_KEY_PREFIX, ARQ_RETRY_KEY_PREFIX)


async def enqueue(redis: Redis, dispatches: Sequence[Dispatch]) -> None:
    """Enqueue the dispatches, each with the score that its tenant's fair share gives it.

    Raises the client's errors when Redis is unavailable; any part of the dispatches may have arrived then.
    """
    if not dispatches:
        return
    queues: dict[str, list[Dispatch]] = {}
    for dispatch in dispatches:
        queues.setdefault(dispatch.queue, []).append(dispatch)
    now_ms = time.time_ns() // 1_000_000  # for arq's record only: it decides nothing
    failpoint("enqueue.before_exec")
    for queue, batch in queues.items():
        for at in range(0, len(batch), BATCH):
            arguments: list[str | int | bytes] = []
            for dispatch in batch[at : at + BATCH]:
                arguments += arguments_of(dispatch, enqueued_at_ms=now_ms)
            await call(redis, queue, "enqueue", arguments)
    failpoint("enqueue.after_exec")


async def dequeue(redis: Redis, dispatches: Sequence[Dispatch]) -> None:
    """Remove dispatches from their queues, with arq's keys for them."""
    pipe = redis.pipeline(transaction=True)
    for dispatch in dispatches:
        pipe.zrem(dispatch.queue, dispatch.arq_id)
        pipe.delete(*(prefix + dispatch.arq_id for prefix in KEYS_OF_A_DISPATCH))
    await pipe.execute()
