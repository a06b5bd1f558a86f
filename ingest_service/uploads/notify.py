"""Rings the bell for committed tasks, behind the answer and in batches: one pipelined round trip for all that wait.

A failure is no error: it is logged and the tasks are forgotten here, since the processor's reconciler rings for what
Redis does not know. A frozen Redis costs its own loop a second, and an upload nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from ingest_service.telemetry.metrics import BELL_FAILURES
from shared.queue.dispatch import Dispatch
from shared.queue.enqueue import ring
from shared.telemetry.logs import Log

log = Log(__name__)

RING_TIMEOUT_S = 1.0
MAX_BATCH = 500
PAUSE_S = 0.005  # after each: under load a ring is for many, which costs a quarter of ringing for each few


class Bell:
    """Takes dispatches at once and rings for them in the background."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: list[Dispatch] = []
        self._wake = asyncio.Event()
        self._is_ending = False

    @classmethod
    @asynccontextmanager
    async def hung(cls, redis: Redis) -> AsyncIterator["Bell"]:
        """A bell with its ringer; at the end what still waits is rung for, once."""
        bell = cls(redis)
        ringer = asyncio.create_task(bell._ring_forever())
        try:
            yield bell
        finally:
            bell._is_ending = True  # told, not cancelled: a client in the middle of a time-out may lose a cancel
            bell._wake.set()
            await ringer

    def ring_soon(self, *dispatches: Dispatch) -> None:
        """Ring for tasks whose commit is done. Returns at once and never raises."""
        self._waiting += dispatches
        self._wake.set()

    async def _ring_forever(self) -> None:
        while not self._is_ending:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._ring_once()
                await asyncio.sleep(PAUSE_S)

    async def _ring_once(self) -> None:
        batch = self._waiting[:MAX_BATCH]
        try:
            async with asyncio.timeout(RING_TIMEOUT_S):
                await ring(self._redis, batch)
        except Exception as error:  # noqa: BLE001 - whatever the client raises, the tasks are safe in Postgres
            BELL_FAILURES.inc()
            log.warning("bell_not_rung", tasks=len(self._waiting), error=type(error).__name__)
            self._waiting.clear()  # without Redis the backlog would grow here, too
        else:
            del self._waiting[: len(batch)]
