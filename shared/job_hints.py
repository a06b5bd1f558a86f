"""Hints in Redis that jobs have changed, so that the ingest reads their states at once.

Each job has a channel, with an empty message for a change. Each tenant has one, with the ids of the jobs that have
changed; an empty message means new jobs. The script of `shared/queue` publishes what belongs to a call of it.

A hint is sent after the commit and may be lost: the ingest also reads all watched jobs every few seconds. Redis drops a
message of a channel without subscribers, so that jobs that no client watches cost nothing else.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

from shared.connections.redis import Redis
from shared.connections.redis_shards import RedisShards, Shards, clients_of
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

CHANNEL = "headrace:job:"
TENANT_CHANNEL = "headrace:tenant:"
TIMEOUT_S = 1.0
BATCH = 500
PUBLISH = "for at = 1, #ARGV, 2 do redis.call('PUBLISH', ARGV[at], ARGV[at + 1]) end"  # one command for all
ID_BYTES = 16


def channel_of(job_id: UUID) -> str:
    """Return the channel of a job."""
    return f"{CHANNEL}{job_id}"


def tenant_channel_of(tenant: str) -> str:
    """Return the channel of all jobs of a tenant."""
    return f"{TENANT_CHANNEL}{tenant}"


def ids_in(message: bytes) -> list[UUID]:
    """Return the ids in a message of a tenant's channel; none if jobs are new, or the message is not ours."""
    if len(message) % ID_BYTES:
        return []
    return [UUID(bytes=message[at : at + ID_BYTES]) for at in range(0, len(message), ID_BYTES)]


def messages_of(changed: Mapping[UUID, str]) -> list[str | bytes]:
    """Return channels and messages in turn: of each job that has changed, and of its tenant."""
    messages = {channel_of(job_id): b"" for job_id in changed}
    for job_id, tenant in changed.items():
        channel = tenant_channel_of(tenant)
        messages[channel] = messages.get(channel, b"") + job_id.bytes
    return [part for one in messages.items() for part in one]


class JobHints:
    """Publishes hints in the Redis of their tenants, in the background."""

    def __init__(self, publishers: Shards["_Publisher"]) -> None:
        self._publishers = publishers

    @classmethod
    @asynccontextmanager
    async def opened(cls, shards: RedisShards) -> AsyncIterator["JobHints"]:
        """Run the background tasks during the block; at the end publish what still waits, once."""
        async with clients_of(shards).opened(_Publisher.opened) as publishers:
            yield cls(publishers)

    def changed(self, job_id: UUID, tenant: str) -> None:
        """Publish soon that a job has changed. Call it after the commit. Returns at once and never raises."""
        self._publishers.of(tenant).changed(job_id, tenant)


class _Publisher:
    """Publishes hints in one Redis. Changes of the same moment are one round trip."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._changed: dict[UUID, str] = {}  # the tenants of the jobs
        self._wake = asyncio.Event()
        self._is_ending = False
        self._outages = Outages(Log(__name__), "job_hints_not_published", "job_hints_published_again")

    @classmethod
    @asynccontextmanager
    async def opened(cls, redis: Redis) -> AsyncIterator["_Publisher"]:
        hints = cls(redis)
        publishing = asyncio.create_task(hints._publish_forever())
        try:
            yield hints
        finally:
            hints._is_ending = True  # not cancelled: a client that is handling a timeout may swallow a cancellation
            hints._wake.set()
            await publishing

    def changed(self, job_id: UUID, tenant: str) -> None:
        self._changed[job_id] = tenant
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
        batch = dict(self._changed.popitem() for _ in range(min(BATCH, len(self._changed))))
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._redis.register_script(PUBLISH)(args=messages_of(batch))
        except Exception as error:  # noqa: BLE001 - any error: the change is committed
            self._outages.failed(error)
            self._changed.clear()  # else hints would pile up during an outage
        else:
            self._outages.worked()
