"""Sends the dispatches of committed tasks to Redis, after the answer, in one pipelined round trip per batch.
Publishes which jobs the ingest itself has changed.

Each Redis has a sender of its own, with the dispatches of its tenants. A failure is logged and the batch is dropped:
the processor's reconciler enqueues what Redis does not have. A frozen Redis delays its sender by a second, other
senders and uploads not at all.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from redis.asyncio import Redis

from ingest_service.telemetry.metrics import BELL_FAILURES
from shared.connections.redis_shards import RedisShards, Shards, clients_of
from shared.job_hints import JobHints
from shared.queue.dispatch import Dispatch
from shared.queue.enqueue import enqueue
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

TIMEOUT_S = 1.0
MAX_BATCH = 500
PAUSE_S = 0.005  # after each batch: under load the batches grow, which saves three quarters of the cost


class DispatchNotifier:
    """Passes dispatches and changes of jobs to the senders of their tenants."""

    def __init__(self, senders: Shards["_Sender"], hints: JobHints) -> None:
        self._senders = senders
        self._hints = hints

    @classmethod
    @asynccontextmanager
    async def opened(cls, shards: RedisShards) -> AsyncIterator["DispatchNotifier"]:
        """Send in the background during the block; at the end send what still waits, once."""
        async with JobHints.opened(shards) as hints, clients_of(shards).opened(_Sender.opened) as senders:
            yield cls(senders, hints)

    def notify_soon(self, *dispatches: Dispatch) -> None:
        """Send the dispatches of committed tasks soon. Returns at once and never raises."""
        for dispatch in dispatches:
            self._senders.of(dispatch.tenant).send_soon(dispatch)

    def job_changed(self, job_id: UUID, tenant: str) -> None:
        """Publish soon that a job has changed, for those who watch it. Call it after the commit."""
        self._hints.changed(job_id, tenant)


class _Sender:
    """Sends dispatches to one Redis in the background."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: list[Dispatch] = []
        self._wake = asyncio.Event()
        self._is_ending = False
        self._outages = Outages(Log(__name__), "dispatch_notification_failed", "dispatch_notification_recovered")

    @classmethod
    @asynccontextmanager
    async def opened(cls, redis: Redis) -> AsyncIterator["_Sender"]:
        sender = cls(redis)
        sending = asyncio.create_task(sender._send_forever())
        try:
            yield sender
        finally:
            sender._is_ending = True  # not cancelled: a client that handles a timeout may swallow a cancellation
            sender._wake.set()
            await sending

    def send_soon(self, dispatch: Dispatch) -> None:
        self._waiting.append(dispatch)
        self._wake.set()

    async def _send_forever(self) -> None:
        while not self._is_ending:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._send_batch()
                await asyncio.sleep(PAUSE_S)

    async def _send_batch(self) -> None:
        batch = self._waiting[:MAX_BATCH]
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await enqueue(self._redis, batch)
        except Exception as error:  # noqa: BLE001 - whatever the client raises, the tasks are safe in Postgres
            BELL_FAILURES.inc()
            self._outages.failed(error, tasks=len(self._waiting))
            self._waiting.clear()  # else the backlog would grow in memory during an outage
        else:
            self._outages.worked()
            del self._waiting[: len(batch)]
