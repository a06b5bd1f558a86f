"""Hints in Redis that a job has changed, so that the ingest reads its state at once: one empty message of its channel.

A hint is sent after the commit and may be lost: the ingest also reads all watched jobs every few seconds. Redis drops a
message of a channel without subscribers, so that jobs that no client watches cost nothing else.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from shared.connections.redis import Redis
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

CHANNEL = "headrace:job:"
TIMEOUT_S = 1.0
BATCH = 500


def channel_of(job_id: UUID) -> str:
    """Return the channel of a job."""
    return f"{CHANNEL}{job_id}"


class JobHints:
    """Publishes hints in the background. Changes of the same moment are one round trip."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._changed: set[UUID] = set()
        self._wake = asyncio.Event()
        self._is_ending = False
        self._outages = Outages(Log(__name__), "job_hints_not_published", "job_hints_published_again")

    @classmethod
    @asynccontextmanager
    async def opened(cls, redis: Redis) -> AsyncIterator["JobHints"]:
        """Run the background task during the block; at the end publish what still waits, once."""
        hints = cls(redis)
        publishing = asyncio.create_task(hints._publish_forever())
        try:
            yield hints
        finally:
            hints._is_ending = True  # not cancelled: a client that is handling a timeout may swallow a cancellation
            hints._wake.set()
            await publishing

    def changed(self, *job_ids: UUID) -> None:
        """Publish soon that these jobs have changed. Call it after the commit. Returns at once and never raises."""
        self._changed.update(job_ids)
        self._wake.set()

    async def _publish_forever(self) -> None:
        is_last = False
        while not is_last:
            await self._wake.wait()
            self._wake.clear()
            is_last = self._is_ending
            while self._changed:
                await self._publish()

    async def _publish(self) -> None:
        batch = [self._changed.pop() for _ in range(min(BATCH, len(self._changed)))]
        pipe = self._redis.pipeline(transaction=False)
        for job_id in batch:
            pipe.publish(channel_of(job_id), b"")
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await pipe.execute()
        except Exception as error:  # noqa: BLE001 - any error: the change is committed
            self._outages.failed(error)
            self._changed.clear()  # else hints would pile up during an outage
        else:
            self._outages.worked()
