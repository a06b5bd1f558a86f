"""The services that handlers use: opened when the process starts, closed when it stops, passed to each handler.

Opening connects to nothing, so that the ingest starts while Postgres or Redis is unavailable.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec

from ingest_service.alerts.reader import AlertReader
from ingest_service.auth.key_cache import KeyCache, find_keys
from ingest_service.auth.key_listener import listening_for_key_changes
from ingest_service.database import POOL_SIZE, Database
from ingest_service.errors import OutageError, RefusedError
from ingest_service.installed_models import InstalledModels
from ingest_service.job_queues import JobQueues
from ingest_service.jobs.backlog import BacklogByTenant
from ingest_service.jobs.cancel import cancel_abandoned
from ingest_service.jobs.events import JobWatcher
from ingest_service.jobs.queries import JobReader
from ingest_service.jobs.renders import Renders
from ingest_service.jobs.tenant_watcher import TenantWatcher
from ingest_service.jobs.transcript_edits import EditStore
from ingest_service.jobs.views import JobKey
from ingest_service.jobs.voices import no_voices
from ingest_service.jobs.waiting import Waiters
from ingest_service.jobs.window_feed import WindowFeed
from ingest_service.openai_api.models import Models
from ingest_service.quotas.concurrent_uploads import TenantLimits, open_tenant_limits
from ingest_service.readiness import Readiness, check_health, see_processors
from ingest_service.replica import open_database
from ingest_service.settings import IngestSettings
from ingest_service.tus.operations import ResumableUploads, open_resumable_uploads
from ingest_service.uploads.commit import JobRecorder
from ingest_service.uploads.free_space import FreeSpace
from ingest_service.uploads.from_url import UrlRules
from ingest_service.uploads.idempotency import IdempotencyKeys, IdempotentSubmitter
from ingest_service.uploads.job_submitter import JobSubmitter, record_job
from ingest_service.uploads.notify import DispatchNotifier
from ingest_service.uploads.presigned_uploads import DirectUploads
from shared.blobs.blob_store import BlobStore
from shared.connections.redis_shards import RedisShards, Shards, clients_of, open_redis_shards
from shared.connections.tenancy import ALL_TENANTS
from shared.schemas.options import SubmitOptions
from shared.schemas.results_to import why_not_allowed
from shared.sealed import open_seal
from shared.subtitles.cue_size import CueSize
from shared.telemetry.backlog import BacklogReader

REDIS_CONNECT_TIMEOUT_S = 1.0
REDIS_TIMEOUT_S = 2.0
MIN_CONNECTIONS = 4  # two commit, two read


class Uploads(msgspec.Struct, frozen=True, kw_only=True):
    """A service for each way to upload."""

    submitter: JobSubmitter
    idempotent: IdempotentSubmitter
    resumable: ResumableUploads
    direct: DirectUploads


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """All services of the ingest."""

    uploads: Uploads
    jobs: JobReader
    notifier: DispatchNotifier
    blobs: BlobStore
    database: Database
    redis: RedisShards
    installed_models: InstalledModels
    cue_size: CueSize
    renders: Renders
    edits: EditStore
    presigned_downloads: bool
    has_voices: bool
    watcher: JobWatcher
    tenant_watcher: TenantWatcher
    waiters: Waiters
    windows: Shards[WindowFeed]
    key_cache: KeyCache
    limits: TenantLimits
    backlog: BacklogReader
    backlog_by_tenant: BacklogByTenant
    alerts: AlertReader
    models: Models
    wait_max_s: float
    max_upload_bytes: int

    async def check(self) -> Readiness:
        """Return which dependencies are unavailable, and whether a processor runs."""
        return await check_health(
            {"database": self.database.check, "redis": partial(see_processors, self.redis), "storage": self.blobs.check}
        )


def connections_of(processes: int) -> int:
    """Return the connections to Postgres that each process may have: 20 together, but at least four each."""
    return max(MIN_CONNECTIONS, POOL_SIZE // processes)


@asynccontextmanager
async def open_services(settings: IngestSettings, blobs: BlobStore, stopping: asyncio.Event) -> AsyncIterator[Services]:
    """Open all services, and close them in reverse order. `stopping` is set when the process begins to stop."""
    pool_size = connections_of(settings.ingest_processes)
    async with (
        open_redis_shards(
            settings.redis_url.reveal(), socket_connect_timeout=REDIS_CONNECT_TIMEOUT_S, socket_timeout=REDIS_TIMEOUT_S
        ) as redis,
        open_database(settings, pool_size) as database,
        DispatchNotifier.opened(redis) as notifier,
        JobWatcher.opened(database, redis, stopping) as watcher,
        TenantWatcher.opened(database, redis, stopping) as tenant_watcher,
        Waiters(
            redis, watcher, partial(_cancel, database, notifier), grace_s=settings.hang_up_grace_s
        ).running() as waiters,
        clients_of(redis).opened(WindowFeed.opened) as windows,
        _open_key_ring(settings, database) as key_cache,
        open_tenant_limits(settings, database, redis) as limits,
        Renders.opened(
            blobs, stopping, at_once=settings.renders_at_once, cache_bytes=settings.render_cache_bytes
        ) as renders,
        InstalledModels.opened(redis) as installed_models,
        _open_uploads(settings, blobs, database, notifier, limits, installed_models) as uploads,
    ):
        jobs = JobReader(
            database,
            settings.ingest_processes,
            settings.interactive_share,
            has_named_queues=bool(settings.queue_names),
        )
        yield Services(
            uploads=uploads,
            jobs=jobs,
            notifier=notifier,
            blobs=blobs,
            database=database,
            redis=redis,
            installed_models=installed_models,
            cue_size=settings.cue_size,
            renders=renders,
            edits=EditStore(database, jobs, blobs, renders),
            presigned_downloads=settings.presigned_downloads,
            has_voices=settings.voices,
            watcher=watcher,
            tenant_watcher=tenant_watcher,
            waiters=waiters,
            windows=windows,
            key_cache=key_cache,
            limits=limits,
            backlog=backlog_reader(database),
            backlog_by_tenant=BacklogByTenant(database, jobs.queue, settings.ingest_processes),
            alerts=AlertReader(redis),
            models=Models(settings.model_aliases, lambda: installed_models.names or ()),
            wait_max_s=settings.wait_max_s,
            max_upload_bytes=settings.max_upload_bytes,
        )


@asynccontextmanager
async def _open_uploads(  # noqa: PLR0913, PLR0917 - what uploads use of the services
    settings: IngestSettings,
    blobs: BlobStore,
    database: Database,
    notifier: DispatchNotifier,
    limits: TenantLimits,
    models: InstalledModels,
) -> AsyncIterator[Uploads]:
    free_space = FreeSpace(blobs, settings.min_free_bytes)
    require_served = partial(_require_served, models, limits.quotas.queues, settings)
    async with open_resumable_uploads(
        database,
        blobs,
        free_space,
        partial(record_job, JobRecorder(database, limits.quotas)),
        notifier.notify_soon,
        limits.quotas,
        require_served=require_served,
        max_bytes=settings.max_upload_bytes,
        expires_s=settings.upload_expires_hours * 3600,
    ) as resumable:
        submitter = JobSubmitter(
            database,
            blobs,
            free_space,
            settings.max_upload_bytes,
            _url_rules(settings),
            quotas=limits.quotas,
            attach_s=settings.attach_s,
            require_served=require_served,
        )
        keys = IdempotencyKeys(database, kept_s=settings.idempotency_hours * 3600)
        yield Uploads(
            submitter=submitter,
            idempotent=IdempotentSubmitter(submitter, keys),
            resumable=resumable,
            direct=DirectUploads(
                blobs=blobs, database=database, quotas=limits.quotas, are_wanted=settings.presigned_uploads
            ),
        )


def _url_rules(settings: IngestSettings) -> UrlRules:
    seal = open_seal(settings.encryption_keys)
    return UrlRules(schemes=settings.fetch_schemes, buckets=settings.source_buckets, seal=seal)


@asynccontextmanager
async def _open_key_ring(settings: IngestSettings, database: Database) -> AsyncIterator[KeyCache]:
    """Listen for key changes only if requests need keys."""
    keys = KeyCache(partial(find_keys, database))
    try:
        if settings.auth == "required":
            async with listening_for_key_changes(settings, keys):
                yield keys
        else:
            yield keys
    finally:
        await keys.close()


def _require_served(
    models: InstalledModels, queues: JobQueues, settings: IngestSettings, tenant: str, options: SubmitOptions
) -> None:
    models.require(options.model)
    models.require_summaries(is_wanted=options.wants_summary)
    queues.require(options.queue)
    if options.uses_voices and not settings.voices:
        raise no_voices()
    if options.results_to is not None and (
        problem := why_not_allowed(options.results_to.reveal(), settings.result_buckets, tenant)
    ):
        raise RefusedError("invalid_option", f"`results_to` {problem}.")


async def _cancel(database: Database, notifier: DispatchNotifier, key: JobKey) -> None:
    await cancel_abandoned(database, notifier, key.tenant, str(key.job_id))


def backlog_reader(database: Database) -> BacklogReader:
    """The ingest also reports the backlog, since there may be no processor that does."""

    async def rows(query: str) -> Sequence[Mapping[str, Any]] | None:
        try:
            found: Sequence[Mapping[str, Any]] = await database.read(
                lambda connection: connection.fetch(query), ALL_TENANTS
            )
        except OutageError:
            return None
        return found

    return BacklogReader(rows)
