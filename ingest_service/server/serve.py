"""One serving process: the application on a listening socket, until it is told to stop."""

import asyncio
import gc
import os
import signal
import socket
import threading

import uvicorn
from litestar.types import ASGIApp

from ingest_service.app import create_asgi
from ingest_service.server.http_protocol import GuardedProtocol
from ingest_service.server.supervisor import BACKLOG, CannotStartError
from ingest_service.settings import IngestSettings
from shared.blobs.blob_errors import BlobStoreError

# The HTTP server, which tells the application that it is about to stop before it waits for open connections.
#
# The lifespan's own end comes too late for that: streams of events would hold up the stop until they are cut.

YOUNG_OBJECTS = 10_000  # between two looks at them: a burst of uploads makes that many, and hardly any cycles


class Server(uvicorn.Server):
    """Sets `stopping` first of all when it stops."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        _spare_the_collector()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        await super().shutdown(sockets)


def _spare_the_collector() -> None:
    """What is there once the application stands, stays: looking through it for garbage stops all uploads for 50 ms."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)


DRAIN_TIMEOUT_S = 30  # for uploads that are under way when the process is told to stop


def open_app(settings: IngestSettings, stopping: asyncio.Event) -> ASGIApp:
    """The application, or CannotStartError when the blob store's URL does not work."""
    try:
        return create_asgi(settings, stopping)
    except BlobStoreError as error:
        raise CannotStartError(f"HEADRACE_STORAGE_URL cannot be opened: {error}") from error


def serve(app: ASGIApp, listener: socket.socket, stopping: asyncio.Event) -> None:
    """Run the server on the socket; it ends when SIGTERM or SIGINT comes and the requests at hand are answered."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=GuardedProtocol,
        ws="none",
        lifespan="on",
        backlog=BACKLOG,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here asks who or how; whoever will must not believe a header
        timeout_graceful_shutdown=DRAIN_TIMEOUT_S,
    )
    server = Server(config, stopping)

    def stop(*_: object) -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        # heard before uvicorn listens for it; and uvicorn raises the signal again when it is done: that is exit 0
        signal.signal(number, stop)
    server.run(sockets=[listener])


def stop_with_parent() -> None:
    """Stop politely when the process that supervises this one is gone: its end of our standard input closes."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()
