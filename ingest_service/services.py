"""What the handlers work with: opened when the process starts, closed when it stops, passed to each handler.

Opening connects to nothing, so that the ingest starts while Postgres or Redis are away.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import msgspec
from redis.asyncio import Redis

from ingest_service.database import POOL_SIZE, Database
from ingest_service.jobs.read_jobs import JobReader
from ingest_service.jobs.watch_jobs import JobWatcher
from ingest_service.process.check_health import Readiness, check_health
from ingest_service.receive.free_space import FreeSpace
from ingest_service.resumable.resumable_uploads import ResumableUploads, open_resumable_uploads
from ingest_service.settings import IngestSettings
from ingest_service.submit.idempotency_keys import IdempotencyKeys
from ingest_service.submit.record_jobs import JobRecorder
from ingest_service.submit.ring_bell import Bell
from ingest_service.submit.submit_job import JobSubmitter, record_job
from ingest_service.submit.submit_once import OnceSubmitter
from ingest_service.transcript_formats.limits import CueLimits
from shared.blob_store import BlobStore

REDIS_CONNECT_TIMEOUT_S = 1.0
REDIS_TIMEOUT_S = 2.0
LEAST_CONNECTIONS = 4  # two commit, two read
LOCAL_TENANT = "default"  # until API keys name others


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The open ends of the ingest."""

    submitter: JobSubmitter
    once: OnceSubmitter
    resumable: ResumableUploads
    jobs: JobReader
    bell: Bell
    blobs: BlobStore
    database: Database
    redis: Redis
    cue_limits: CueLimits
    presigned_downloads: bool
    watcher: JobWatcher

    async def check(self) -> Readiness:
        """What of it is away."""
        return await check_health(
            {"database": self.database.check, "redis": self._check_redis, "storage": self.blobs.check}
        )

    async def _check_redis(self) -> None:
        await self.redis.ping()


def connections_of(processes: int) -> int:
    """How many connections to Postgres each process may have: 20 together, and four at least."""
    return max(LEAST_CONNECTIONS, POOL_SIZE // processes)


@asynccontextmanager
async def open_services(settings: IngestSettings, blobs: BlobStore, stopping: asyncio.Event) -> AsyncIterator[Services]:
    """Everything opened, closed in reverse. `stopping` is set when the process begins to stop."""
    redis = Redis.from_url(
        settings.redis_url, socket_connect_timeout=REDIS_CONNECT_TIMEOUT_S, socket_timeout=REDIS_TIMEOUT_S
    )
    free_space = FreeSpace(blobs, settings.min_free_bytes)
    pool_size = connections_of(settings.ingest_processes)
    async with (
        redis,
        Database.opened(settings.database_url, pool_size) as database,
        Bell.hung(redis) as bell,
        JobWatcher.opened(database, stopping) as watcher,
        _open_resumable(settings, database, blobs, free_space, bell) as resumable,
    ):
        submitter = JobSubmitter(database, blobs, free_space, settings.max_upload_bytes, settings.fetch_schemes)
        yield Services(
            submitter=submitter,
            once=OnceSubmitter(submitter, IdempotencyKeys(database, kept_s=settings.idempotency_hours * 3600)),
            resumable=resumable,
            jobs=JobReader(database),
            bell=bell,
            blobs=blobs,
            database=database,
            redis=redis,
            cue_limits=settings.cue_limits,
            presigned_downloads=settings.presigned_downloads,
            watcher=watcher,
        )


def _open_resumable(
    settings: IngestSettings, database: Database, blobs: BlobStore, free_space: FreeSpace, bell: Bell
) -> AbstractAsyncContextManager[ResumableUploads]:
    return open_resumable_uploads(
        database,
        blobs,
        free_space,
        partial(record_job, JobRecorder(database)),
        bell.ring_soon,
        max_bytes=settings.max_upload_bytes,
        expires_s=settings.upload_expires_hours * 3600,
    )
