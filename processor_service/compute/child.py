"""A compute child: `python -m processor_service.compute.child`, started by `pool`, one request at a time.

Knows no database, no Redis, no blob store and no secret: paths in, files and answers out.
"""

import ctypes
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from processor_service.audio.errors import AudioError
from processor_service.compute.messages import (
    JoinDenoised,
    ProcessChunk,
    Progress,
    Ready,
    Reply,
    Request,
    RequestFailed,
    SplitSource,
    Warm,
    frame,
    read_request,
)
from processor_service.compute.requests import Engine, join, process_chunk, split, warm_up_audio
from processor_service.transcribers import load_transcriber
from shared.failures import FailureCode

PR_SET_PDEATHSIG = 1  # linux/prctl.h

Send = Callable[[Reply], None]


def main() -> None:
    """Answer requests from standard input until it closes."""
    _die_with_the_worker()
    requests, replies = _take_pipes()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def send(reply: Reply) -> None:
        replies.write(frame(reply))
        replies.flush()

    engine: Engine | None = None
    while (request := read_request(requests)) is not None:
        if isinstance(request, Warm):
            engine = _warm(request)
            send(Ready())
        elif engine is not None:
            send(_answer(engine, request, send))


def _die_with_the_worker() -> None:
    """Ask Linux to kill this process when a worker that is killed itself cannot; elsewhere the closed pipe ends it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep standard output for replies alone: what libraries print goes to standard error."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return requests, replies


def _warm(request: Warm) -> Engine:
    engine = Engine(request.engine, load_transcriber)
    engine.transcriber(Path(request.model_path)).warm_up()
    warm_up_audio()
    return engine


def _answer(engine: Engine, request: Request, send: Send) -> Reply:
    def progress(fraction: float) -> None:
        send(Progress(fraction=fraction))

    try:
        match request:
            case SplitSource():
                return split(request, send, progress)
            case ProcessChunk():
                return process_chunk(engine, request, progress)
            case JoinDenoised():
                return join(request)
            case _:
                raise TypeError(type(request))
    except AudioError as error:
        return _failed(error.code, error.message, transient=False)
    except MemoryError:
        os._exit(137)  # the process is not to be trusted any more: a crash, counted as one
    except Exception:  # noqa: BLE001 - a defect fails one request, not the warm child
        return _failed(FailureCode.INTERNAL, "An internal error stopped the processing.", transient=True)


def _failed(code: FailureCode, message: str, *, transient: bool) -> RequestFailed:
    return RequestFailed(code=code, message=message, transient=transient, traceback=traceback.format_exc()[-8000:])


if __name__ == "__main__":
    main()
