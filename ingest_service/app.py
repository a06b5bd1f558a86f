"""Puts the ingest together: routes, services, error answers, OpenAPI; around them the access log and the linger."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ASGIApp, Scope

from ingest_service.auth.caller import Caller, caller_of, require_scope
from ingest_service.auth.key_cache import KeyRing
from ingest_service.jobs.results import RangeNotSatisfiableError
from ingest_service.middleware.access_log import with_access_log
from ingest_service.middleware.authentication import with_authentication, without_authentication
from ingest_service.middleware.concurrent_uploads import with_open_uploads_counted
from ingest_service.middleware.content_coding import with_codings_refused
from ingest_service.middleware.cors import with_cross_origin
from ingest_service.middleware.lingering_close import with_linger
from ingest_service.middleware.problems import HANDLERS, with_security_headers
from ingest_service.middleware.rate_limit import with_rate_limit
from ingest_service.middleware.upload_fast_path import with_short_way
from ingest_service.openapi.document import openapi_config
from ingest_service.openapi.keys import API_KEYS
from ingest_service.routes.audio import answer_unsatisfiable, get_audio, head_audio
from ingest_service.routes.dead_letters import discard, get_dead_letters, redrive_all, redrive_one
from ingest_service.routes.events import get_events
from ingest_service.routes.health import live, ready
from ingest_service.routes.jobs import cancel, erase, get_job, list_jobs
from ingest_service.routes.keys import create_api_key, list_api_keys, revoke_api_key
from ingest_service.routes.metrics import get_metrics
from ingest_service.routes.options import answering_options
from ingest_service.routes.presigned import create_presigned
from ingest_service.routes.submit import submit_job, upload_audio
from ingest_service.routes.transcript import get_transcript
from ingest_service.routes.uploads import UPLOADS
from ingest_service.routes.usage import get_usage
from ingest_service.routes.webhooks import get_webhook_attempts, send_webhook_again
from ingest_service.services import Services, open_services
from ingest_service.settings import IngestSettings
from ingest_service.telemetry.metrics import BOARD, LOOP_LAG, POOL
from ingest_service.telemetry.traces import uploads_traced
from ingest_service.tus.middleware import with_tus
from shared.blobs.blob_store import BlobStore
from shared.telemetry.process_gauges import loop_watched

ROUTES = (
    submit_job,
    upload_audio,
    create_presigned,
    UPLOADS,
    get_job,
    list_jobs,
    get_events,
    get_transcript,
    get_audio,
    head_audio,
    cancel,
    erase,
    get_webhook_attempts,
    send_webhook_again,
    get_dead_letters,
    redrive_one,
    redrive_all,
    discard,
    create_api_key,
    list_api_keys,
    revoke_api_key,
    get_usage,
    live,
    ready,
    get_metrics,
)


def create_app(settings: IngestSettings, stopping: asyncio.Event | None = None) -> Litestar:
    """The application. Makes the blob store's folder; connects to nothing before the first request.

    Streams that have no end of their own end once `stopping` is set, see `server`.
    """
    blobs = BlobStore(
        settings.storage_url,
        fsync=settings.fsync,
        timeout_s=settings.storage_timeout_s,
        retry_s=settings.storage_retry_s,
    )

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        if settings.metrics_dir:
            BOARD.share(Path(settings.metrics_dir))
        async with open_services(settings, blobs, stopping or asyncio.Event()) as services:
            app.state.services = services
            async with loop_watched(LOOP_LAG, lambda: POOL.sample(services.database.pool)):
                with uploads_traced(settings.otlp_url, settings.trace_sample):
                    yield

    return Litestar(
        route_handlers=[answering_options(ROUTES), *ROUTES],
        dependencies={
            "services": Provide(_services, sync_to_thread=False),
            "caller": Provide(_caller, sync_to_thread=False),
        },
        guards=[require_scope],
        exception_handlers={**HANDLERS, RangeNotSatisfiableError: answer_unsatisfiable},
        lifespan=[lifespan],
        openapi_config=openapi_config(_version(), security=API_KEYS if settings.auth == "required" else None),
        logging_config=None,  # shared.telemetry.logs, set up by the process
    )


def create_asgi(settings: IngestSettings, stopping: asyncio.Event | None = None) -> ASGIApp:
    """What the server runs: the application in its wrappers.

    Where a wrapper can, it returns the application's awaitable and is no coroutine itself: each would cost every open
    upload a kilobyte, of which there may be ten thousand.
    """
    app = create_app(settings, stopping)
    uploads = with_open_uploads_counted(
        with_codings_refused(with_short_way(app, lambda: _services(app.state))), lambda: _services(app.state).limits
    )
    inner = with_rate_limit(uploads, lambda: _services(app.state).limits.requests) if settings.rate_limit else uploads
    known = (
        with_authentication(inner, lambda: _key_ring(app.state))
        if settings.auth == "required"
        else without_authentication(inner)
    )
    # tus outside of it: the method that it lets a header name is the one that needs a key
    guarded = with_cross_origin(with_linger(with_tus(known)), settings.cors_origins)
    return with_access_log(with_security_headers(guarded), settings.access_log_sample)


def _services(state: State) -> Services:
    services: Services = state.services
    return services


def _caller(scope: Scope) -> Caller:
    return caller_of(scope)


def _key_ring(state: State) -> KeyRing:
    return _services(state).key_ring


def _version() -> str:
    try:
        return version("headrace")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
