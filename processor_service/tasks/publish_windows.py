"""Publishes the windows of this process to the feeds of their jobs. A slow or lost Redis delays no task."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.run_beside import run_beside
from shared.schemas.windows import Window
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages
from shared.window_feed import append_windows

MAX_WAITING = 1000  # windows; newer ones are dropped while Redis does not take them
AT_ONCE = 100
TIMEOUT_S = 5.0


class WindowPublisher:
    """Publishes in the background, in order. Windows that Redis does not take at once are lost."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: asyncio.Queue[tuple[UUID, Window]] = asyncio.Queue(MAX_WAITING)
        self._outages = Outages(Log(__name__), "window_publishing_failed", "window_publishing_resumed")

    @classmethod
    @asynccontextmanager
    async def opened(cls, redis: Redis) -> AsyncIterator["WindowPublisher"]:
        """Run a publisher during the block."""
        publisher = cls(redis)
        async with run_beside(publisher._publish_forever()):
            yield publisher

    def publish(self, job_id: UUID, window: Window) -> None:
        """Publish a window soon. Return at once."""
        if not self._waiting.full():
            self._waiting.put_nowait((job_id, window))

    async def _publish_forever(self) -> None:
        while True:
            some = [await self._waiting.get()]
            while len(some) < AT_ONCE and not self._waiting.empty():
                some.append(self._waiting.get_nowait())
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    await append_windows(self._redis, some)
            except (RedisError, OSError) as error:  # a timeout is an OSError
                self._outages.failed(error)
            else:
                self._outages.worked()
