"""`python -m ingest_service`: read the settings, open the port, serve until SIGTERM or SIGINT.

An invalid setting or a port in use is one line on standard error and exit status 2. With HEADRACE_INGEST_PROCESSES
above 1 this process supervises. It starts each serving process with `--listener` and the number of its socket.
"""

import asyncio
import socket
import sys
from collections.abc import Mapping

from ingest_service.server.supervisor import CANNOT_START, CannotStartError, allow_open_files, bind_each, supervise
from ingest_service.settings import IngestSettings
from ingest_service.telemetry.metrics import metrics_folder
from shared import failpoints
from shared.blobs.blob_errors import BlobStoreError
from shared.blobs.blob_store import BlobStore
from shared.environment import take_environment
from shared.known_variables import unknown_variables
from shared.settings import SettingsError, load_settings
from shared.telemetry.logs import Log, configure

log = Log("ingest_service")


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT. Return the exit status."""
    is_child = arguments[:1] == ["--listener"]
    environ = take_environment()
    unknown = [] if is_child else unknown_variables(environ)  # the parent has logged them
    try:
        settings = load_settings(IngestSettings, environ)
        configure(settings.log_format, settings.log_level)
        for variable in unknown:
            log.warning("unknown_setting", **variable._asdict())
        failpoints.arm(settings.failpoints)
        allow_open_files()
        if is_child:
            return serve_for_parent(settings, socket.socket(fileno=int(arguments[1])))
        return serve_all(settings, environ)
    except SettingsError as error:  # the missing setting may be a misspelled variable
        return complain(*map(str, unknown), str(error))
    except CannotStartError as error:
        return complain(str(error))


def complain(*lines: str) -> int:
    """Print plain lines, whatever the log's format. Return the exit status."""
    for line in lines:
        print(f"ingest: {line}", file=sys.stderr)  # noqa: T201 - not a log line
    return CANNOT_START


def serve_all(settings: IngestSettings, environ: Mapping[str, str]) -> int:
    """Serve in this process, or supervise several serving processes."""
    if settings.ingest_processes == 1:
        from ingest_service.server.serve import open_app, serve  # a supervisor does not need it

        stopping = asyncio.Event()
        app = open_app(settings, stopping)
        (listener,) = listen(settings)
        serve(settings, app, listener, stopping)
        return 0
    check_store(settings)
    with metrics_folder(settings.metrics_dir) as folder:
        return asyncio.run(supervise(listen(settings), {**environ, "HEADRACE_METRICS_DIR": folder}))


def serve_for_parent(settings: IngestSettings, listener: socket.socket) -> int:
    """Serve on a socket that the supervisor opened."""
    from ingest_service.server.serve import open_app, serve, stop_with_parent

    stop_with_parent()
    stopping = asyncio.Event()
    serve(settings, open_app(settings, stopping), listener, stopping)
    return 0


def check_store(settings: IngestSettings) -> None:
    """Raise CannotStartError once, in the supervisor, if the blob store cannot be opened."""
    try:
        BlobStore(settings.storage_url)
    except BlobStoreError as error:
        raise CannotStartError(f"HEADRACE_STORAGE_URL cannot be opened: {error}") from error


def listen(settings: IngestSettings) -> list[socket.socket]:
    """Open the port and log it."""
    listeners = bind_each(settings.host, settings.port, settings.ingest_processes)
    host, port = listeners[0].getsockname()[:2]
    log.info("listening", host=host, port=port, processes=len(listeners))
    return listeners


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
