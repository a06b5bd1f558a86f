"""Rings the bell: tells arq's queues in Redis, in one pipelined round trip, which committed tasks there are to do.

Called after the commit, never before. A failure is not an error of the caller: the row is the record, and the
processor's reconciler rings for whatever Redis does not know. `NX` makes ringing twice harmless.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from shared.messages import ARQ_JOB_KEY_PREFIX, PAYLOAD_TTL_MS, Dispatch, arq_payload


class Redis(Protocol):
    """The part of `redis.asyncio.Redis` that ringing needs."""

    def time(self) -> Any: ...

    def pipeline(self, transaction: bool = True) -> Any: ...  # noqa: FBT001, FBT002 - redis-py's signature


async def ring(redis: Redis, dispatches: Sequence[Dispatch]) -> None:
    """Put the dispatches into their queues, scored by Redis' own clock.

    Raises whatever the client raises when Redis is away; then nothing or everything may have arrived.
    """
    if not dispatches:
        return
    seconds, microseconds = await redis.time()
    now_ms = int(seconds) * 1000 + int(microseconds) // 1000
    pipe = redis.pipeline(transaction=True)
    for dispatch in dispatches:
        payload = arq_payload(dispatch, enqueued_at_ms=now_ms)
        pipe.set(ARQ_JOB_KEY_PREFIX + dispatch.arq_id, payload, px=PAYLOAD_TTL_MS, nx=True)
        pipe.zadd(dispatch.queue, {dispatch.arq_id: now_ms}, nx=True)
    await pipe.execute()
