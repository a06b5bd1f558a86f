"""One serving process: the application on a listening socket, until it is told to stop."""

import asyncio
import os
import signal
import socket
import threading

import uvicorn
from litestar.types import ASGIApp

from ingest_service.app import create_asgi
from ingest_service.server.bind import BACKLOG, CannotStartError
from ingest_service.server.http_protocol import GuardedProtocol
from ingest_service.server.server import Server
from ingest_service.settings import IngestSettings
from shared.blobs.blob_errors import BlobStoreError

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
