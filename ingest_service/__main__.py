"""`python -m ingest_service`: reads the settings, takes the port, serves until SIGTERM or SIGINT.

A bad setting or a taken port is one line on standard error and exit status 2.
"""

import os
import signal
import socket
import sys

import uvicorn
from litestar.types import ASGIApp

from ingest_service.app import create_asgi
from ingest_service.http_protocol import GuardedProtocol
from ingest_service.settings import IngestSettings
from shared import failpoints
from shared.blob_store import BlobStoreError
from shared.logs import Log, configure
from shared.settings import SettingsError, load_settings

log = Log("ingest_service")

BACKLOG = 2048  # connections that wait to be taken
DRAIN_TIMEOUT_S = 30  # for uploads that are under way when the process is told to stop


class CannotStartError(Exception):
    """One sentence for whoever started the process."""


def main() -> int:
    """Serve until told to stop; the exit status."""
    try:
        settings = load_settings(IngestSettings, os.environ)
        configure(settings.log_format, settings.log_level)
        failpoints.arm(settings.failpoints)
        app = open_app(settings)
        listener = bind(settings.host, settings.port)
    except (SettingsError, CannotStartError) as error:
        print(f"ingest: {error}", file=sys.stderr)  # noqa: T201 - one plain line, whatever the log's format
        return 2
    serve(app, listener)
    return 0


def open_app(settings: IngestSettings) -> ASGIApp:
    """The application, or CannotStartError when the blob store's URL does not work."""
    try:
        return create_asgi(settings)
    except BlobStoreError as error:
        raise CannotStartError(f"HEADRACE_STORAGE_URL cannot be opened: {error}") from error


def bind(host: str, port: int) -> socket.socket:
    """The listening socket, or CannotStartError when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)  # two processes may bind; only one may listen
    except OSError as error:
        listener.close()
        raise CannotStartError(f"cannot listen on {host} port {port}: {os.strerror(error.errno or 0)}") from error
    return listener


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Run the server on the socket; it ends when SIGTERM or SIGINT comes and the requests at hand are answered."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # uvicorn raises the signal again when it is done: that is exit 0
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
        timeout_graceful_shutdown=DRAIN_TIMEOUT_S,
    )
    host, port = listener.getsockname()[:2]
    log.info("listening", host=host, port=port)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    sys.exit(main())
