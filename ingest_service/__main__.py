"""`python -m ingest_service`: reads the settings, takes the port, serves until SIGTERM or SIGINT.

A bad setting or a taken port is one line on standard error and exit status 2. With HEADRACE_INGEST_PROCESSES above 1
this process supervises, and starts itself anew for each that serves, with `--listener` and the number of its socket.
"""

import asyncio
import os
import socket
import sys

from ingest_service.server.supervisor import CANNOT_START, CannotStartError, allow_open_files, bind_each, supervise
from ingest_service.settings import IngestSettings
from ingest_service.telemetry.metrics import metrics_folder
from shared import failpoints
from shared.blobs.blob_errors import BlobStoreError
from shared.blobs.blob_store import BlobStore
from shared.known_variables import unknown_variables
from shared.settings import SettingsError, load_settings
from shared.telemetry.logs import Log, configure

log = Log("ingest_service")


def main(arguments: list[str]) -> int:
    """Serve until told to stop; the exit status."""
    is_child = arguments[:1] == ["--listener"]
    unknown = [] if is_child else unknown_variables(os.environ)  # the parent has named them
    try:
        settings = load_settings(IngestSettings, os.environ)
        configure(settings.log_format, settings.log_level)
        for one in unknown:
            log.warning("unknown_setting", **one._asdict())
        failpoints.arm(settings.failpoints)
        allow_open_files()
        if is_child:
            return serve_for_parent(settings, socket.socket(fileno=int(arguments[1])))
        return serve_all(settings)
    except SettingsError as error:  # one that is not set may be set under a name that is almost right
        return complain(*map(str, unknown), str(error))
    except CannotStartError as error:
        return complain(str(error))


def complain(*lines: str) -> int:
    """Plain lines, whatever the log's format; the exit status."""
    for line in lines:
        print(f"ingest: {line}", file=sys.stderr)  # noqa: T201 - not a line of the log
    return CANNOT_START


def serve_all(settings: IngestSettings) -> int:
    """Serve alone, or supervise those that serve."""
    if settings.ingest_processes == 1:
        from ingest_service.server.serve import open_app, serve  # a parent of others does not need it, nor its memory

        stopping = asyncio.Event()
        app = open_app(settings, stopping)
        (listener,) = listen(settings)
        serve(app, listener, stopping)
        return 0
    check_store(settings)
    with metrics_folder(settings.metrics_dir) as folder:
        return asyncio.run(supervise(listen(settings), environ={"HEADRACE_METRICS_DIR": folder}))


def serve_for_parent(settings: IngestSettings, listener: socket.socket) -> int:
    """Serve on a socket of the process that supervises this one."""
    from ingest_service.server.serve import open_app, serve, stop_with_parent

    stop_with_parent()
    stopping = asyncio.Event()
    serve(open_app(settings, stopping), listener, stopping)
    return 0


def check_store(settings: IngestSettings) -> None:
    """Raise CannotStartError here, once, when the blob store's URL does not work."""
    try:
        BlobStore(settings.storage_url)
    except BlobStoreError as error:
        raise CannotStartError(f"HEADRACE_STORAGE_URL cannot be opened: {error}") from error


def listen(settings: IngestSettings) -> list[socket.socket]:
    """Take the port, and say so."""
    listeners = bind_each(settings.host, settings.port, settings.ingest_processes)
    host, port = listeners[0].getsockname()[:2]
    log.info("listening", host=host, port=port, processes=len(listeners))
    return listeners


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
