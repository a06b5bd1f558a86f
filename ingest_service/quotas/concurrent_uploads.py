"""Counts a tenant's concurrent uploads over all processes and refuses those over its quota.

Each upload holds a slot in Redis, which expires when its process dies. While Redis is unavailable, each process allows
its share of the quota, rounded up. Tenants without the quota take no slots.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import msgspec

from ingest_service.database import Database
from ingest_service.quotas.bounds import Bounds, OpenStreams, StreamBounds
from ingest_service.quotas.quotas import AT_ONCE_RETRY_S, QuotaGate, quota_exceeded
from ingest_service.quotas.rate_limiter import RateLimiter
from ingest_service.quotas.redis_state import SharedRedis
from ingest_service.settings import IngestSettings
from shared.connections.redis_shards import RedisShards, Shards, clients_of
from shared.run_beside import run_beside

KEY = "headrace:open-uploads:{tenant}"
SLOT_S = 30.0
HEARTBEAT_S = 10.0

# ARGV: the slot's id, the number of slots, the seconds until a slot expires. Slots are sorted by expiry.
TAKE_SLOT = """
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', time[1])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], time[1] + ARGV[3], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
# ARGV: the seconds until a slot expires, the ids of slots. A slot that was released stays released.
RENEW_SLOTS = """
local time = redis.call('TIME')
for number = 2, #ARGV do redis.call('ZADD', KEYS[1], 'XX', time[1] + ARGV[1], ARGV[number]) end
redis.call('EXPIRE', KEYS[1], ARGV[1])
"""


class UploadSlot:
    """The slot of one upload."""

    def __init__(self, slots: "UploadSlots", tenant: str) -> None:
        self.id = uuid4().hex
        self.tenant = tenant
        self._slots = slots

    async def release(self) -> None:
        """Release the slot. A repeat changes nothing. Raises nothing."""
        await self._slots.release(self)


class UploadSlots:
    """The slots of this process by tenant; Redis has those of all processes."""

    def __init__(self, shared: SharedRedis, processes: int) -> None:
        self._shared = shared
        self._processes = processes
        self._taken: dict[str, set[UploadSlot]] = {}
        self._take_slot: Any = shared.redis.register_script(TAKE_SLOT)
        self._renew_slots: Any = shared.redis.register_script(RENEW_SLOTS)

    @classmethod
    @asynccontextmanager
    async def opened(cls, shared: SharedRedis, processes: int) -> AsyncIterator["UploadSlots"]:
        """Run the heartbeat that renews slots during the block. Does not connect yet."""
        slots = cls(shared, processes)
        async with run_beside(slots._heartbeat_forever()):
            yield slots

    async def take(self, tenant: str, at_once: int) -> UploadSlot:
        """Take one of `at_once` slots; LimitError if all are taken. The caller releases it."""
        slot = UploadSlot(self, tenant)
        if not await self._is_free(slot, at_once):
            raise quota_exceeded("uploads_at_once", f"{at_once} concurrent uploads are allowed", AT_ONCE_RETRY_S)
        self._taken.setdefault(tenant, set()).add(slot)
        return slot

    async def release(self, slot: UploadSlot) -> None:
        """Release the slot, unless it is released. Raises nothing."""
        slots = self._taken.get(slot.tenant, set())
        if slot not in slots:
            return
        slots.remove(slot)
        if not slots:
            del self._taken[slot.tenant]
        if not self._shared.is_unavailable:
            await self._shared.answer(self._shared.redis.zrem(KEY.format(tenant=slot.tenant), slot.id))

    async def renew_all(self) -> None:
        """Renew all slots of this process."""
        for tenant, slots in list(self._taken.items()):
            if not self._shared.is_unavailable:
                ids = [slot.id for slot in slots]
                await self._shared.answer(self._renew_slots(keys=[KEY.format(tenant=tenant)], args=[int(SLOT_S), *ids]))

    async def _is_free(self, slot: UploadSlot, at_once: int) -> bool:
        if not self._shared.is_unavailable:
            keys = [KEY.format(tenant=slot.tenant)]
            answer = await self._shared.answer(self._take_slot(keys=keys, args=[slot.id, at_once, int(SLOT_S)]))
            if answer is not None:
                return bool(answer)
        self._shared.probe_if_due()
        return len(self._taken.get(slot.tenant, ())) < math.ceil(at_once / self._processes)

    async def _heartbeat_forever(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await self.renew_all()


class TenantLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits on tenants that one process enforces."""

    quotas: QuotaGate
    uploads: Shards[UploadSlots]
    requests: Shards[RateLimiter] | None  # of each key, or of the tenant without keys; None: no rate limit
    tenant_requests: Shards[RateLimiter] | None  # of all keys of a tenant together
    streams: OpenStreams


@asynccontextmanager
async def open_tenant_limits(
    settings: IngestSettings, database: Database, shards: RedisShards
) -> AsyncIterator[TenantLimits]:
    """Open the limits. Does not connect yet."""
    bounds = Bounds(
        open_uploads=settings.max_open_uploads,
        parts=settings.max_upload_parts,
        ended_uploads=settings.max_ended_uploads,
    )
    streams = StreamBounds(
        of_process=settings.max_event_streams,
        of_tenant=settings.max_event_streams_of_tenant,
        of_key=settings.max_event_streams_of_key,
    )
    quotas = QuotaGate(database, settings.quotas, bounds, settings.job_queues)
    processes = settings.ingest_processes
    async with (
        clients_of(shards).opened(SharedRedis.opened) as shared,
        shared.opened(lambda redis: UploadSlots.opened(redis, processes)) as uploads,
    ):
        requests, of_tenant = (
            shared.map(partial(RateLimiter, policy=policy, processes=processes)) if policy else None
            for policy in (settings.rate_policy, settings.tenant_rate_policy)
        )
        yield TenantLimits(
            quotas=quotas,
            uploads=uploads,
            requests=requests,
            tenant_requests=of_tenant,
            streams=OpenStreams(streams),
        )
