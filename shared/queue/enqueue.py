"""Rings the bell: tells arq's queues in Redis, in one round trip a batch, which committed tasks there are to do.

Called after the commit, never before. A failure is not an error of the caller: the row is the record, and the
processor's reconciler rings for whatever Redis does not know. Ringing twice is ringing once.

A task's n-th dispatch silences the one before: what a lost worker had begun would stay in arq's queue for days.
"""

import time
from collections.abc import Sequence
from typing import Any, Protocol

from shared.failpoints import failpoint
from shared.queue.dispatch import ARQ_IN_PROGRESS_KEY_PREFIX, ARQ_JOB_KEY_PREFIX, ARQ_RETRY_KEY_PREFIX, Dispatch
from shared.queue.fair_shares import PUT_IN_ORDER, arguments_for, arguments_of, keys_of

BATCH = 500  # dispatches a call: while one runs, some milliseconds, Redis does nothing else
KEYS_OF_A_DISPATCH = (ARQ_JOB_KEY_PREFIX, ARQ_IN_PROGRESS_KEY_PREFIX, ARQ_RETRY_KEY_PREFIX)


class Pipelines(Protocol):
    """The part of `redis.asyncio.Redis` that silencing needs."""

    def pipeline(self, transaction: bool = True) -> Any: ...  # noqa: FBT001, FBT002 - redis-py's signature


class Redis(Protocol):
    """The part of `redis.asyncio.Redis` that ringing needs."""

    def register_script(self, script: str) -> Any: ...


async def ring(redis: Redis, dispatches: Sequence[Dispatch]) -> None:
    """Put the dispatches into their queues, each where its tenant's share has it; see shared/queue/fair_shares.py.

    Raises whatever the client raises when Redis is away; then nobody knows which arrived.
    """
    if not dispatches:
        return
    queues: dict[str, list[Dispatch]] = {}
    for dispatch in dispatches:
        queues.setdefault(dispatch.queue, []).append(dispatch)
    put_in_order = redis.register_script(PUT_IN_ORDER)
    now_ms = time.time_ns() // 1_000_000  # tells when it was, and decides nothing
    failpoint("bell.before_exec")
    for queue, batch in queues.items():
        for at in range(0, len(batch), BATCH):
            arguments = arguments_for(queue)
            for dispatch in batch[at : at + BATCH]:
                arguments += arguments_of(dispatch, enqueued_at_ms=now_ms)
            await put_in_order(keys=keys_of(queue), args=arguments)
    failpoint("bell.after_exec")


async def silence(redis: Pipelines, dispatches: Sequence[Dispatch]) -> None:
    """Take dispatches out of their queues, with all that arq keeps of them."""
    pipe = redis.pipeline(transaction=True)
    for dispatch in dispatches:
        _silence(pipe, dispatch)
    await pipe.execute()


def _silence(pipe: Any, dispatch: Dispatch) -> None:
    pipe.zrem(dispatch.queue, dispatch.arq_id)
    pipe.delete(*(prefix + dispatch.arq_id for prefix in KEYS_OF_A_DISPATCH))
