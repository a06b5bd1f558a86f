"""Counts the uploads that a tenant has under way, over all processes, and refuses those over its quota.

Each upload has a place in Redis, which ends by itself when its process dies. While Redis is away each process takes its
share of the quota, rounded up. Tenants without the quota take no place.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import msgspec
from redis.asyncio import Redis

from ingest_service.database import Database
from ingest_service.quotas.quotas import AT_ONCE_RETRY_S, QuotaGate, quota_exceeded
from ingest_service.quotas.rate_limiter import RateLimiter
from ingest_service.quotas.redis_state import SharedRedis
from ingest_service.settings import IngestSettings
from shared.run_beside import run_beside

KEY = "headrace:open-uploads:{tenant}"
PLACE_S = 30.0
BEAT_S = 10.0

# ARGV: the place's id, how many there may be, how many seconds it lasts. Places are sorted by when they end.
TAKE_PLACE = """
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', time[1])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], time[1] + ARGV[3], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
# ARGV: how many seconds they last, and their ids. One that was given back meanwhile stays away.
RENEW_PLACES = """
local time = redis.call('TIME')
for number = 2, #ARGV do redis.call('ZADD', KEYS[1], 'XX', time[1] + ARGV[1], ARGV[number]) end
redis.call('EXPIRE', KEYS[1], ARGV[1])
"""


class Place:
    """One upload under way."""

    def __init__(self, uploads: "OpenUploads", tenant: str) -> None:
        self.id = uuid4().hex
        self.tenant = tenant
        self._uploads = uploads

    async def give_back(self) -> None:
        """Once; what is given back again changes nothing. Raises nothing."""
        await self._uploads.give_back(self)


class OpenUploads:
    """The places of this process, by tenant, and in Redis those of all."""

    def __init__(self, shared: SharedRedis, processes: int) -> None:
        self._shared = shared
        self._processes = processes
        self._open: dict[str, set[Place]] = {}
        self._take_place: Any = shared.redis.register_script(TAKE_PLACE)
        self._renew_places: Any = shared.redis.register_script(RENEW_PLACES)

    @classmethod
    @asynccontextmanager
    async def opened(cls, shared: SharedRedis, processes: int) -> AsyncIterator["OpenUploads"]:
        """With the heartbeat that keeps places; connects to nothing yet."""
        uploads = cls(shared, processes)
        async with run_beside(uploads._beat_forever()):
            yield uploads

    async def take(self, tenant: str, at_once: int) -> Place:
        """A place, to be given back; LimitError when all are taken."""
        place = Place(self, tenant)
        if not await self._is_free(place, at_once):
            detail = f"{at_once} uploads may be under way at once, and are"
            raise quota_exceeded("uploads_at_once", detail, AT_ONCE_RETRY_S)
        self._open.setdefault(tenant, set()).add(place)
        return place

    async def give_back(self, place: Place) -> None:
        places = self._open.get(place.tenant, set())
        if place not in places:
            return
        places.remove(place)
        if not places:
            del self._open[place.tenant]
        if not self._shared.is_away:
            await self._shared.answer(self._shared.redis.zrem(KEY.format(tenant=place.tenant), place.id))

    async def beat(self) -> None:
        """Keep all places for a while more."""
        for tenant, places in list(self._open.items()):
            if not self._shared.is_away:
                ids = [place.id for place in places]
                await self._shared.answer(
                    self._renew_places(keys=[KEY.format(tenant=tenant)], args=[int(PLACE_S), *ids])
                )

    async def _is_free(self, place: Place, at_once: int) -> bool:
        if not self._shared.is_away:
            keys = [KEY.format(tenant=place.tenant)]
            answer = await self._shared.answer(self._take_place(keys=keys, args=[place.id, at_once, int(PLACE_S)]))
            if answer is not None:
                return bool(answer)
        self._shared.look_again()
        return len(self._open.get(place.tenant, ())) < math.ceil(at_once / self._processes)

    async def _beat_forever(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            await self.beat()


# The limits of one process, opened when it starts.


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What keeps tenants within bounds."""

    quotas: QuotaGate
    uploads: OpenUploads
    requests: RateLimiter | None  # None: their rate is not limited


@asynccontextmanager
async def open_limits(settings: IngestSettings, database: Database, redis: Redis) -> AsyncIterator[Limits]:
    """All of them; connects to nothing yet."""
    quotas = QuotaGate(database, settings.quotas)
    policy, processes = settings.rate_policy, settings.ingest_processes
    async with SharedRedis.opened(redis) as shared, OpenUploads.opened(shared, processes) as uploads:
        requests = RateLimiter(shared, policy, processes) if policy else None
        yield Limits(quotas=quotas, uploads=uploads, requests=requests)
