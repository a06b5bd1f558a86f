"""The limits of one process, opened when it starts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from redis.asyncio import Redis

from ingest_service.database import Database
from ingest_service.quotas.concurrent_uploads import OpenUploads
from ingest_service.quotas.quota_gate import QuotaGate
from ingest_service.quotas.rate_limiter import RateLimiter
from ingest_service.quotas.redis_state import SharedRedis
from ingest_service.settings import IngestSettings


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
