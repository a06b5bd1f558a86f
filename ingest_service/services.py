"""What the handlers work with: opened when the process starts, closed when it stops, passed to each handler.

Opening connects to nothing, so that the ingest starts while Postgres or Redis are away.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from redis.asyncio import Redis

from ingest_service.check_health import Readiness, check_health
from ingest_service.database import Database
from ingest_service.free_space import FreeSpace
from ingest_service.read_jobs import JobReader
from ingest_service.ring_bell import Bell
from ingest_service.settings import IngestSettings
from ingest_service.submit_job import JobSubmitter
from ingest_service.transcript_formats.limits import CueLimits
from shared.blob_store import BlobStore

REDIS_CONNECT_TIMEOUT_S = 1.0
REDIS_TIMEOUT_S = 2.0
LOCAL_TENANT = "default"  # until API keys name others


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The open ends of the ingest."""

    submitter: JobSubmitter
    jobs: JobReader
    bell: Bell
    blobs: BlobStore
    database: Database
    redis: Redis
    cue_limits: CueLimits

    async def check(self) -> Readiness:
        """What of it is away."""
        return await check_health(
            {"database": self.database.check, "redis": self._check_redis, "storage": self.blobs.check}
        )

    async def _check_redis(self) -> None:
        await self.redis.ping()


@asynccontextmanager
async def open_services(settings: IngestSettings, blobs: BlobStore) -> AsyncIterator[Services]:
    """Everything opened, closed in reverse."""
    redis = Redis.from_url(
        settings.redis_url, socket_connect_timeout=REDIS_CONNECT_TIMEOUT_S, socket_timeout=REDIS_TIMEOUT_S
    )
    async with redis, Database.opened(settings.database_url) as database, Bell.hung(redis) as bell:
        yield Services(
            submitter=JobSubmitter(
                database, blobs, FreeSpace(blobs, settings.min_free_bytes), settings.max_upload_bytes
            ),
            jobs=JobReader(database),
            bell=bell,
            blobs=blobs,
            database=database,
            redis=redis,
            cue_limits=settings.cue_limits,
        )
