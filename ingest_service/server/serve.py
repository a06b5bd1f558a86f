"""One serving process: it runs the application on a listening socket until SIGTERM or SIGINT."""

import asyncio
import gc
import os
import signal
import socket
import threading
from functools import partial
from typing import Any

import uvicorn
from litestar.types import ASGIApp

from ingest_service.app import create_asgi
from ingest_service.server.connections import Connections, allowed_connections
from ingest_service.server.http_protocol import GuardedProtocol
from ingest_service.server.supervisor import BACKLOG, CannotStartError
from ingest_service.settings import IngestSettings
from shared.blobs.blob_errors import BlobStoreError

DRAIN_TIMEOUT_S = 30  # for uploads in progress at the stop
GC_THRESHOLD = 10_000  # new objects between two collections: a burst of uploads makes that many, with few cycles


def open_app(settings: IngestSettings, stopping: asyncio.Event) -> ASGIApp:
    """Return the application. Raise CannotStartError if the blob store cannot be opened."""
    try:
        return create_asgi(settings, stopping)
    except BlobStoreError as error:
        raise CannotStartError(f"HEADRACE_STORAGE_URL cannot be opened: {error}") from error


def bounded_protocol(settings: IngestSettings) -> Any:
    """Return the factory of the process's connections, which share their bounds."""
    most = allowed_connections(settings.max_connections)
    return partial(GuardedProtocol, open_connections=Connections(most, settings.max_connections_of_address))


def serve(settings: IngestSettings, app: ASGIApp, listener: socket.socket, stopping: asyncio.Event) -> None:
    """Run the server on the socket until SIGTERM or SIGINT. It ends when the current requests are answered."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=bounded_protocol(settings),
        ws="none",
        interface="asgi3",
        lifespan="on",
        backlog=BACKLOG,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # no code uses the client's address; X-Forwarded-* headers are not to be trusted
        timeout_graceful_shutdown=DRAIN_TIMEOUT_S,
    )
    server = Server(config, stopping)

    def stop(*_: object) -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        # Handled here because uvicorn installs its handlers later, and raises the signal again at its end: exit 0.
        signal.signal(number, stop)
    server.run(sockets=[listener])


class Server(uvicorn.Server):
    """Sets `stopping` at the start of the shutdown. The lifespan ends too late: open event streams delay it."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        _reduce_gc_pauses()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        await super().shutdown(sockets)


def _reduce_gc_pauses() -> None:
    """Exclude the started application from garbage collection: scanning it would stop all uploads for 50 ms."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 10, 10)


def stop_with_parent() -> None:
    """Stop gracefully when the supervisor is gone: then our standard input ends."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()
