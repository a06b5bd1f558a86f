"""What the handlers work with: opened when the process starts, closed when it stops, passed to each handler.

Opening connects to nothing, so that the ingest starts while Postgres or Redis are away.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import msgspec
from redis.asyncio import Redis

from ingest_service.auth.key_cache import KeyFinder, KeyRing
from ingest_service.auth.key_listener import hearing_changes
from ingest_service.database import POOL_SIZE, Database
from ingest_service.jobs.events import JobWatcher
from ingest_service.jobs.queries import JobReader
from ingest_service.open_redis import open_redis
from ingest_service.quotas.concurrent_uploads import Limits, open_limits
from ingest_service.quotas.quotas import QuotaGate
from ingest_service.server.readiness import Readiness, check_health, see_processors
from ingest_service.settings import IngestSettings
from ingest_service.subtitles.limits import CueLimits
from ingest_service.telemetry.backlog import backlog_of
from ingest_service.tus.operations import ResumableUploads, open_resumable_uploads
from ingest_service.uploads.commit import JobRecorder
from ingest_service.uploads.idempotency import IdempotencyKeys, OnceSubmitter
from ingest_service.uploads.notify import Bell
from ingest_service.uploads.presigned import DirectUploadRecords, DirectUploads
from ingest_service.uploads.receive import FreeSpace
from ingest_service.uploads.submit import JobSubmitter, record_job
from shared.blobs.blob_store import BlobStore
from shared.telemetry.backlog import BacklogReader

REDIS_CONNECT_TIMEOUT_S = 1.0
REDIS_TIMEOUT_S = 2.0
LEAST_CONNECTIONS = 4  # two commit, two read


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The open ends of the ingest."""

    submitter: JobSubmitter
    once: OnceSubmitter
    resumable: ResumableUploads
    direct: DirectUploads
    jobs: JobReader
    bell: Bell
    blobs: BlobStore
    database: Database
    redis: Redis
    cue_limits: CueLimits
    presigned_downloads: bool
    watcher: JobWatcher
    key_ring: KeyRing
    limits: Limits
    backlog: BacklogReader

    async def check(self) -> Readiness:
        """What of it is away, and whether a processor runs."""
        return await check_health(
            {
                "database": self.database.check,
                "redis": partial(see_processors, self.redis),
                "storage": self.blobs.check,
            }
        )


def connections_of(processes: int) -> int:
    """How many connections to Postgres each process may have: 20 together, and four at least."""
    return max(LEAST_CONNECTIONS, POOL_SIZE // processes)


@asynccontextmanager
async def open_services(settings: IngestSettings, blobs: BlobStore, stopping: asyncio.Event) -> AsyncIterator[Services]:
    """Everything opened, closed in reverse. `stopping` is set when the process begins to stop."""
    redis = open_redis(
        settings.redis_url, socket_connect_timeout=REDIS_CONNECT_TIMEOUT_S, socket_timeout=REDIS_TIMEOUT_S
    )
    free_space = FreeSpace(blobs, settings.min_free_bytes)
    pool_size = connections_of(settings.ingest_processes)
    async with (
        redis,
        Database.opened(settings.database_url, pool_size, settings.database_pooler) as database,
        Bell.hung(redis) as bell,
        JobWatcher.opened(database, stopping) as watcher,
        _open_key_ring(settings, database) as key_ring,
        open_limits(settings, database, redis) as limits,
        _open_resumable(settings, database, blobs, free_space, bell, limits.quotas) as resumable,
    ):
        submitter = JobSubmitter(
            database, blobs, free_space, settings.max_upload_bytes, settings.fetch_schemes, quotas=limits.quotas
        )
        yield Services(
            submitter=submitter,
            once=OnceSubmitter(submitter, IdempotencyKeys(database, kept_s=settings.idempotency_hours * 3600)),
            resumable=resumable,
            direct=DirectUploads(
                blobs=blobs,
                records=DirectUploadRecords(database),
                glance=limits.quotas.glance,
                are_wanted=settings.presigned_uploads,
            ),
            jobs=JobReader(database),
            bell=bell,
            blobs=blobs,
            database=database,
            redis=redis,
            cue_limits=settings.cue_limits,
            presigned_downloads=settings.presigned_downloads,
            watcher=watcher,
            key_ring=key_ring,
            limits=limits,
            backlog=backlog_of(database),
        )


@asynccontextmanager
async def _open_key_ring(settings: IngestSettings, database: Database) -> AsyncIterator[KeyRing]:
    """Hears of changes only where keys are asked for."""
    ring = KeyRing(KeyFinder(database).find)
    try:
        if settings.auth == "required":
            async with hearing_changes(settings, ring):
                yield ring
        else:
            yield ring
    finally:
        await ring.close()


def _open_resumable(  # noqa: PLR0913, PLR0917 - all that they stand on, named at the one call
    settings: IngestSettings,
    database: Database,
    blobs: BlobStore,
    free_space: FreeSpace,
    bell: Bell,
    quotas: QuotaGate,
) -> AbstractAsyncContextManager[ResumableUploads]:
    return open_resumable_uploads(
        database,
        blobs,
        free_space,
        partial(record_job, JobRecorder(database, quotas)),
        bell.ring_soon,
        quotas.glance,
        max_bytes=settings.max_upload_bytes,
        expires_s=settings.upload_expires_hours * 3600,
    )
