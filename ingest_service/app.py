"""Puts the ingest together: routes, services, error answers, OpenAPI; around them the access log and the linger."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ASGIApp

from ingest_service.access_log import with_access_log
from ingest_service.byte_range import RangeNotSatisfiableError
from ingest_service.cross_origin import with_cross_origin
from ingest_service.describe_api import openapi_config
from ingest_service.linger import with_linger
from ingest_service.problems import HANDLERS
from ingest_service.refuse_codings import with_codings_refused
from ingest_service.routes.audio import answer_unsatisfiable, get_audio, head_audio
from ingest_service.routes.dead_letters import discard, get_dead_letters, redrive_all, redrive_one
from ingest_service.routes.health import live, ready
from ingest_service.routes.jobs import cancel, erase, get_job, list_jobs
from ingest_service.routes.options import answering_options
from ingest_service.routes.submit import submit_job, upload_audio
from ingest_service.routes.transcript import get_transcript
from ingest_service.routes.webhooks import get_webhook_attempts, send_webhook_again
from ingest_service.security_headers import with_security_headers
from ingest_service.services import Services, open_services
from ingest_service.settings import IngestSettings
from shared.blob_store import BlobStore

ROUTES = (
    submit_job,
    upload_audio,
    get_job,
    list_jobs,
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
)


def create_app(settings: IngestSettings) -> Litestar:
    """The application. Makes the blob store's folder; connects to nothing before the first request."""
    blobs = BlobStore(settings.storage_url)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with open_services(settings, blobs) as services:
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


def create_asgi(settings: IngestSettings) -> ASGIApp:
    """What the server runs: the application in its wrappers."""
    app = with_codings_refused(create_app(settings))
    return with_access_log(with_security_headers(with_cross_origin(with_linger(app), settings.cors_origins)))


def _services(state: State) -> Services:
    services: Services = state.services
    return services


def _version() -> str:
    try:
        return version("headrace")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
