"""Rings the bell: tells arq's queues in Redis, in one pipelined round trip, which committed tasks there are to do.

Called after the commit, never before. A failure is not an error of the caller: the row is the record, and the
processor's reconciler rings for whatever Redis does not know. `NX` makes ringing twice harmless.

A task's n-th dispatch silences the one before: what a lost worker had begun would stay in arq's queue for days.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from shared.failpoints import failpoint
from shared.messages import (
    ARQ_IN_PROGRESS_KEY_PREFIX,
    ARQ_JOB_KEY_PREFIX,
    ARQ_RETRY_KEY_PREFIX,
    PAYLOAD_TTL_MS,
    Dispatch,
    arq_payload,
)

DAY_MS = 24 * 3600 * 1000
KEYS_OF_A_DISPATCH = (ARQ_JOB_KEY_PREFIX, ARQ_IN_PROGRESS_KEY_PREFIX, ARQ_RETRY_KEY_PREFIX)


class Pipelines(Protocol):
    """The part of `redis.asyncio.Redis` that silencing needs."""

    def pipeline(self, transaction: bool = True) -> Any: ...  # noqa: FBT001, FBT002 - redis-py's signature


class Redis(Pipelines, Protocol):
    """The part of `redis.asyncio.Redis` that ringing needs."""

    def time(self) -> Any: ...


async def ring(redis: Redis, dispatches: Sequence[Dispatch]) -> None:
    """Put the dispatches into their queues, scored by Redis' own clock, so that the first come are the first served.

    Raises whatever the client raises when Redis is away; then nothing or everything may have arrived.
    """
    if not dispatches:
        return
    seconds, microseconds = await redis.time()
    now_ms = int(seconds) * 1000 + int(microseconds) // 1000
    pipe = redis.pipeline(transaction=True)
    queues: dict[str, dict[str, int]] = {}  # one command each: packing and answering one costs 20 µs of CPU
    for dispatch in dispatches:
        payload = arq_payload(dispatch, enqueued_at_ms=now_ms)
        pipe.set(ARQ_JOB_KEY_PREFIX + dispatch.arq_id, payload, px=PAYLOAD_TTL_MS, nx=True)
        queues.setdefault(dispatch.queue, {})[dispatch.arq_id] = score_ms(dispatch, now_ms)
        if dispatch.dispatch_no > 1:
            _silence(pipe, dispatch.previous)
    for queue, scores in queues.items():
        pipe.zadd(queue, scores, nx=True)
    failpoint("bell.before_exec")
    await pipe.execute()
    failpoint("bell.after_exec")


async def silence(redis: Pipelines, dispatches: Sequence[Dispatch]) -> None:
    """Take dispatches out of their queues, with all that arq keeps of them."""
    pipe = redis.pipeline(transaction=True)
    for dispatch in dispatches:
        _silence(pipe, dispatch)
    await pipe.execute()


def score_ms(dispatch: Dispatch, now_ms: int) -> int:
    """A dispatch's place in its queue: the first come are the first served, and what had begun goes on before them.

    A worker takes what its own clock calls due, so all lies a day back: a clock behind by less still sees everything.
    """
    return now_ms - (2 * DAY_MS if dispatch.dispatch_no > 1 else DAY_MS)


def _silence(pipe: Any, dispatch: Dispatch) -> None:
    pipe.zrem(dispatch.queue, dispatch.arq_id)
    pipe.delete(*(prefix + dispatch.arq_id for prefix in KEYS_OF_A_DISPATCH))
