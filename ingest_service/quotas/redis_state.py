"""Redis as the ingest processes share it for their limits, and whether it is available.

The first failure costs the waiting requests a quarter of a second, later requests nothing: until Redis answers again,
each process enforces its share of a limit alone.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

from redis.asyncio import Redis

from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

TIMEOUT_S = 0.25
PROBE_EVERY_S = 1.0  # during an outage

T = TypeVar("T")


class SharedRedis:
    """Redis, with a timeout and a memory of its outages."""

    def __init__(self, redis: Redis) -> None:
        self.is_unavailable = False
        self.redis = redis
        self._probe_at_s = 0.0
        self._probing: asyncio.Task[None] | None = None
        self._outages = Outages(Log(__name__), "limits_redis_unavailable", "limits_redis_recovered")

    @classmethod
    @asynccontextmanager
    async def opened(cls, redis: Redis) -> AsyncIterator["SharedRedis"]:
        """Does not connect yet. At the end no task keeps running."""
        shared = cls(redis)
        try:
            yield shared
        finally:
            if shared._probing:
                shared._probing.cancel()

    async def answer(self, question: Awaitable[T]) -> T | None:
        """Return the answer of Redis, or None if it fails. Do not call it while Redis is unavailable."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await question
        except Exception as error:  # noqa: BLE001 - whatever the client raises, the limit works without Redis
            self._outages.failed(error)
            self.is_unavailable = True
            self._probe_at_s = asyncio.get_running_loop().time() + PROBE_EVERY_S
            return None

    def probe_if_due(self) -> None:
        """During an outage: check in the background, at most once per second, whether Redis is available again."""
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._probe_at_s:
            self._probe_at_s = now_s + PROBE_EVERY_S
            self._probing = asyncio.create_task(self._probe())

    async def _probe(self) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self.redis.ping()
        except Exception:  # noqa: BLE001 - still unavailable; the next probe follows
            return
        self.is_unavailable = False
        self._outages.worked()
