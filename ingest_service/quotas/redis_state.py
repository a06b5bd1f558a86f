"""What ingest processes share in Redis to keep limits together, and whether Redis is there to be asked.

A failure costs whoever waits a quarter of a second, and the next ones nothing: until Redis answers again, each process
keeps its share of a limit alone.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

from redis.asyncio import Redis

from shared.telemetry.logs import Log

log = Log(__name__)

PATIENCE_S = 0.25
AGAIN_AFTER_S = 1.0  # how long it is not asked after it failed

T = TypeVar("T")


class SharedRedis:
    """Redis, as long as it answers."""

    def __init__(self, redis: Redis) -> None:
        self.is_away = False
        self.redis = redis
        self._probe_at_s = 0.0
        self._probing: asyncio.Task[None] | None = None

    @classmethod
    @asynccontextmanager
    async def opened(cls, redis: Redis) -> AsyncIterator["SharedRedis"]:
        """Connects to nothing yet; at the end nothing of it runs on."""
        shared = cls(redis)
        try:
            yield shared
        finally:
            if shared._probing:
                shared._probing.cancel()

    async def answer(self, question: Awaitable[T]) -> T | None:
        """What Redis answers; None when it does not. It must not be asked while it is away."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await question
        except Exception as error:  # noqa: BLE001 - whatever the client raises, the limit is kept without it
            log.warning("limits_kept_alone", error=type(error).__name__)
            self.is_away = True
            self._probe_at_s = asyncio.get_running_loop().time() + AGAIN_AFTER_S
            return None

    def look_again(self) -> None:
        """While it is away: find out in the background whether it is back, now and then."""
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._probe_at_s:
            self._probe_at_s = now_s + AGAIN_AFTER_S
            self._probing = asyncio.create_task(self._probe())

    async def _probe(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.redis.ping()
        except Exception:  # noqa: BLE001 - still away; it is asked again
            return
        self.is_away = False
