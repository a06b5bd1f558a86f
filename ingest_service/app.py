"""Puts the ingest together: routes, services, error answers, OpenAPI; around them the access log and the linger."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ASGIApp

from ingest_service.api_document.describe_api import openapi_config
from ingest_service.http.access_log import with_access_log
from ingest_service.http.cross_origin import with_cross_origin
from ingest_service.http.linger import with_linger
from ingest_service.http.problems import HANDLERS
from ingest_service.http.refuse_codings import with_codings_refused
from ingest_service.http.security_headers import with_security_headers
from ingest_service.jobs.byte_range import RangeNotSatisfiableError
from ingest_service.metrics.metrics import BOARD
from ingest_service.receive.short_way import with_short_way
from ingest_service.resumable.speak_tus import with_tus
from ingest_service.routes.audio import answer_unsatisfiable, get_audio, head_audio
from ingest_service.routes.dead_letters import discard, get_dead_letters, redrive_all, redrive_one
from ingest_service.routes.events import get_events
from ingest_service.routes.health import live, ready
from ingest_service.routes.jobs import cancel, erase, get_job, list_jobs
from ingest_service.routes.metrics import get_metrics
from ingest_service.routes.options import answering_options
from ingest_service.routes.submit import submit_job, upload_audio
from ingest_service.routes.transcript import get_transcript
from ingest_service.routes.uploads import UPLOADS
from ingest_service.routes.webhooks import get_webhook_attempts, send_webhook_again
from ingest_service.services import Services, open_services
from ingest_service.settings import IngestSettings
from shared.blob_store import BlobStore

ROUTES = (
    submit_job,
    upload_audio,
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
            yield

    return Litestar(
        route_handlers=[answering_options(ROUTES), *ROUTES],
        dependencies={"services": Provide(_services, sync_to_thread=False)},
        exception_handlers={**HANDLERS, RangeNotSatisfiableError: answer_unsatisfiable},
        lifespan=[lifespan],
        openapi_config=openapi_config(_version()),
        logging_config=None,  # shared.logs, set up by the process
    )


def create_asgi(settings: IngestSettings, stopping: asyncio.Event | None = None) -> ASGIApp:
    """What the server runs: the application in its wrappers."""
    app = create_app(settings, stopping)
    uploads = with_codings_refused(with_short_way(with_tus(app), lambda: _services(app.state)))
    guarded = with_cross_origin(with_linger(uploads), settings.cors_origins)
    return with_access_log(with_security_headers(guarded))


def _services(state: State) -> Services:
    services: Services = state.services
    return services


def _version() -> str:
    try:
        return version("headrace")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
