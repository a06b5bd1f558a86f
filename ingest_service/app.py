"""Assemble the ingest: routes, services, error answers and OpenAPI, and the ASGI wrappers around them."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial, reduce
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple, cast

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Scope

from ingest_service.auth.caller import Caller, caller_of, require_json, require_scope
from ingest_service.client_json import BoundedRequest
from ingest_service.console_files import ConsoleFiles, read_console
from ingest_service.jobs.results import RangeNotSatisfiableError
from ingest_service.middleware.access_log import with_access_log
from ingest_service.middleware.answer_headers import with_security_headers
from ingest_service.middleware.authentication import with_authentication, without_authentication
from ingest_service.middleware.bounded_answers import HeldAnswers, with_bounded_answers
from ingest_service.middleware.canonical_path import with_canonical_path
from ingest_service.middleware.cors import with_cors
from ingest_service.middleware.head import with_head
from ingest_service.middleware.keyless_guard import with_keyless_guard
from ingest_service.middleware.lingering_close import with_lingering_close
from ingest_service.middleware.problems import HANDLERS
from ingest_service.middleware.rate_limit import with_rate_limit
from ingest_service.middleware.tus_headers import with_tus
from ingest_service.middleware.upload_fast_path import with_content_coding_check, with_upload_fast_path
from ingest_service.middleware.upload_slots import with_upload_slots
from ingest_service.openai_api.errors import with_openai_errors
from ingest_service.openapi.complete import openapi_config
from ingest_service.openapi.keys import API_KEYS
from ingest_service.readiness import OUTAGES
from ingest_service.routes import (
    asr,
    audio,
    console,
    dead_letters,
    docs,
    events,
    job_lists,
    jobs,
    keys,
    monitoring,
    openai,
    peaks,
    queue,
    search,
    session,
    submit,
    transcript,
    transcript_edits,
    transcript_search,
    uploads,
    usage,
    vocabulary,
    voices,
    webhook_endpoints,
    webhooks,
)
from ingest_service.routes.monitoring import metrics_text
from ingest_service.routes.options import answering_options
from ingest_service.services import Services, backlog_reader, open_services
from ingest_service.settings import IngestSettings
from ingest_service.telemetry.metrics import LOOP_LAG, METRIC_REGISTRY, POOL
from ingest_service.telemetry.traces import uploads_traced
from ingest_service.uploads.spread_keys import spread_new_keys
from shared.blobs.blob_store import BlobStore
from shared.run_beside import run_beside
from shared.telemetry.keep_samples import keep_samples
from shared.telemetry.process_gauges import watching_loop_lag
from shared.telemetry.samples import INGEST_JOB

FIRST_SAMPLE_AFTER_S = 10.0

RESOURCES = (
    submit,
    openai,
    uploads,
    jobs,
    job_lists,
    events,
    transcript,
    transcript_edits,
    transcript_search,
    search,
    audio,
    peaks,
    voices,
    webhook_endpoints,
    webhooks,
    dead_letters,
    keys,
    session,
    usage,
    vocabulary,
    queue,
    monitoring,
    docs,
)
ROUTES = [route for resource in RESOURCES for route in resource.ROUTES]


def create_app(settings: IngestSettings, stopping: asyncio.Event | None = None) -> Litestar:
    """Return the application. It makes the blob store's folder, and connects to nothing before the first request.

    Event streams end when `stopping` is set.
    """
    app = register_routes(registered_by(settings))
    configure(app, settings, stopping or asyncio.Event())
    return app


class Registered(NamedTuple):
    """The settings on which the routes and the OpenAPI document depend."""

    requires_keys: bool
    asr_routes: bool
    console: bool


def registered_by(settings: IngestSettings) -> Registered:
    return Registered(settings.auth == "required", settings.asr_routes, settings.console)


def register_routes(registered: Registered) -> Litestar:
    """Return an application with all routes, which takes a tenth of a second. `configure` must follow."""
    if registered.console:
        read_console()  # at the start: the files of a running version may change on disk
    routes = [
        *ROUTES,
        *(asr.ROUTES if registered.asr_routes else ()),
        *(console.ROUTES if registered.console else ()),
    ]
    return Litestar(
        route_handlers=[answering_options(routes), *routes],
        dependencies={
            "services": Provide(_services, sync_to_thread=False),
            "caller": Provide(_caller, sync_to_thread=False),
            "console_files": Provide(_console_files, sync_to_thread=False),
        },
        guards=[require_scope, require_json],
        request_class=BoundedRequest,
        exception_handlers={**HANDLERS, RangeNotSatisfiableError: audio.answer_unsatisfiable},
        lifespan=[_lifespan],
        openapi_config=openapi_config(_version(), security=API_KEYS if registered.requires_keys else None),
        logging_config=None,  # the process configures shared.telemetry.logs
    )


def configure(app: Litestar, settings: IngestSettings, stopping: asyncio.Event) -> None:
    """Set what the next lifespan of the application uses."""
    blobs = BlobStore(
        settings.storage_url,
        fsync=settings.fsync,
        timeout_s=settings.storage_timeout_s,
        retry_s=settings.storage_retry_s,
        min_free_bytes=settings.min_free_bytes,
    )
    app.state.run = lambda: _running(app.state, settings, blobs, stopping)


@asynccontextmanager
async def _lifespan(app: Litestar) -> AsyncIterator[None]:
    async with app.state.run():
        yield


@asynccontextmanager
async def _running(
    state: State, settings: IngestSettings, blobs: BlobStore, stopping: asyncio.Event
) -> AsyncIterator[None]:
    if settings.metrics_dir:
        METRIC_REGISTRY.share(Path(settings.metrics_dir))
    OUTAGES.forget()
    async with open_services(settings, blobs, stopping) as services:
        state.services = services
        async with (
            watching_loop_lag(LOOP_LAG, lambda: POOL.sample(services.database.pool)),
            run_beside(_sampling(settings, services)),
            run_beside(spread_new_keys(services.database, blobs)),
        ):
            with uploads_traced(settings.otlp_url.reveal(), settings.trace_sample):
                yield


def create_asgi(settings: IngestSettings, stopping: asyncio.Event | None = None) -> ASGIApp:
    """Return the application as the server runs it."""
    return wrap_app(create_app(settings, stopping), settings)


def wrap_app(app: Litestar, settings: IngestSettings) -> ASGIApp:
    """Put all wrappers around the application. They get HTTP requests only."""
    wrapped = reduce(lambda inner, wrap: wrap(inner), reversed(_wrappers(settings, app)), cast(ASGIApp, app))
    return lambda scope, receive, send: (wrapped if scope["type"] == ScopeType.HTTP else app)(scope, receive, send)


def _wrappers(settings: IngestSettings, app: Litestar) -> list[Callable[[ASGIApp], ASGIApp]]:
    """All wrappers in their order: the first is the outermost and receives a request first.

    A wrapper returns the awaitable of the inner application where it can, instead of being a coroutine function. Each
    coroutine would cost every open upload a kilobyte, and there may be ten thousand.
    """
    state = app.state
    authentication = partial(with_authentication, keys=lambda: _services(state).key_cache)
    keyless_guard = partial(with_keyless_guard, hosts=settings.allowed_hosts, origins=settings.cors_origins)
    rate_limit = partial(with_rate_limit, limits=lambda: _services(state).limits)
    return [
        with_canonical_path,  # first: every wrapper must see the path that the framework will route
        partial(with_bounded_answers, held=HeldAnswers(settings.unread_answer_bytes)),
        partial(with_access_log, sample=settings.access_log_sample),
        with_security_headers,
        partial(with_cors, origins=settings.cors_origins),
        with_openai_errors,  # before all that refuses requests
        with_lingering_close,
        *([keyless_guard] if settings.auth == "none" else []),  # before all that acts on a request
        with_tus,  # before authentication: the scope that a request needs depends on the overridden method
        authentication if settings.auth == "required" else without_authentication,
        *([rate_limit] if settings.tenant_rate_policy else []),
        partial(with_upload_slots, limits=lambda: _services(state).limits),
        with_content_coding_check,
        partial(with_upload_fast_path, services=lambda: _services(state)),
        partial(with_head, routes=app),
    ]


def _sampling(settings: IngestSettings, services: Services) -> Coroutine[None, None, None]:
    """Keep samples of the metrics, one for all processes that share a metrics folder. Scrapes have another reader."""
    name = settings.port or Path(settings.metrics_dir).name or os.getpid()
    instance = f"{socket.gethostname()}:{name}"
    text = partial(metrics_text, backlog_reader(services.database))
    return keep_samples(services.redis, INGEST_JOB, instance, text, first_after_s=FIRST_SAMPLE_AFTER_S)


def _services(state: State) -> Services:
    services: Services = state.services
    return services


def _caller(scope: Scope) -> Caller:
    return caller_of(scope)


def _console_files() -> ConsoleFiles:
    return read_console()


def _version() -> str:
    try:
        return version("headrace")
    except PackageNotFoundError:  # a checkout that is not installed
        return "0"
