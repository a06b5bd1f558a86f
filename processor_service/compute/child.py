"""A compute child: `python -m processor_service.compute.child`, started by `pool`, one request at a time.

Knows no database, no Redis, no blob store and no secret: paths in, files and answers out.
"""

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec

from processor_service.audio.load_mono import load_mono_16k
from processor_service.compute import resource_limits as limits
from processor_service.compute.messages import (
    REPLIES_FD,
    REQUESTS_FD,
    Allow,
    DenoiseChunk,
    EncodePieces,
    FindTurns,
    FindVoices,
    JoinDenoised,
    ProcessChunk,
    Progress,
    Ready,
    Reply,
    Request,
    RequestFailed,
    SplitSource,
    TurnsFound,
    VoicesFound,
    Warm,
    frame,
    read_request,
)
from processor_service.compute.requests import (
    Engine,
    cut_pieces,
    denoise_only,
    join,
    process_chunk,
    split,
    warm_up_audio,
)
from processor_service.errors import AudioError
from processor_service.transcribers import Transcriber, load_transcriber
from shared.schemas.failures import FailureCode

# What a compute child does to tell speakers apart. What takes seconds to import is imported when it is asked for.


def tell_speakers(request: FindVoices | FindTurns, progress: Callable[[float], None]) -> Reply:
    """Find the voices in one chunk or, when those of all chunks are found, the turns in the file."""
    return _find_voices(request, progress) if isinstance(request, FindVoices) else _find_turns(request)


def _find_voices(request: FindVoices, progress: Callable[[float], None]) -> Reply:
    """In the core, in the source's time, whatever was denoised or transcribed of it."""
    import torch

    from processor_service.diarization.nets import load_nets
    from processor_service.diarization.voice_embeddings import find_voices

    torch.set_num_threads(request.threads)
    chunk = request.chunk
    lead_frames = chunk.core_start_frame - chunk.file_start_frame
    core_frames = chunk.core_end_frame - chunk.core_start_frame
    audio = load_mono_16k(Path(chunk.path), lead_frames, lead_frames + core_frames)
    offset_s = chunk.core_start_frame / chunk.sample_rate_hz
    voices = find_voices(load_nets(request.weights), audio, offset_s=offset_s, on_progress=progress)
    Path(request.voices_path).write_bytes(msgspec.msgpack.encode(voices))
    return VoicesFound()


def _find_turns(request: FindTurns) -> Reply:
    from processor_service.diarization.speaker_turns import speaker_turns
    from processor_service.diarization.voices import Voices

    chunks = [msgspec.msgpack.decode(Path(path).read_bytes(), type=Voices) for path in request.voices_paths]
    return TurnsFound(turns=speaker_turns(chunks, at_least=request.at_least, at_most=request.at_most))


PR_SET_PDEATHSIG = 1  # linux/prctl.h
PROGRESS_STEP = 0.001  # smaller steps are not worth a message

Send = Callable[[Reply], None]


def main() -> None:
    """Answer requests from standard input until it closes."""
    _die_with_the_worker()
    requests, replies = _take_pipes()
    limits.prepare_to_die()

    def send(reply: Reply) -> None:
        replies.write(frame(reply))
        replies.flush()

    engine: Engine | None = None
    while (request := read_request(requests)) is not None:
        if isinstance(request, Allow):
            limits.allow_cpu(request.cpu_s)
        elif isinstance(request, Warm):
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
    os.dup2(0, REQUESTS_FD, inheritable=False)
    os.dup2(1, REPLIES_FD, inheritable=False)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return os.fdopen(REQUESTS_FD, "rb"), os.fdopen(REPLIES_FD, "wb")


def _warm(request: Warm) -> Engine:
    memory = limits.MemoryLimit(request.memory_bytes)

    def load(name: str, model_path: Path) -> Transcriber:
        memory.make_room_for(model_path)
        return load_transcriber(name, model_path, request.device)

    engine = Engine(request.engine, load)
    transcriber = engine.transcriber(Path(request.model_path))
    transcriber.warm_up()
    if transcriber.wants_speech_only:
        warm_up_audio(request.denoiser)
    return engine


def _answer(engine: Engine, request: Request, send: Send) -> Reply:
    try:
        return _done(engine, request, send)
    except AudioError as error:
        return _failed(error.code, error.message, transient=False)
    except Exception as error:  # noqa: BLE001 - a defect fails one request, not the warm child
        if limits.is_out_of_memory(error):
            os._exit(limits.OUT_OF_MEMORY_STATUS)  # it is not to be trusted any more: a crash, counted as one
        return _failed(FailureCode.INTERNAL, "An internal error stopped the processing.", transient=True)


def _done(engine: Engine, request: Request, send: Send) -> Reply:
    progress = _Steps(send)
    match request:
        case SplitSource():
            return split(request, send, progress, limit_files=limits.limit_files)
        case ProcessChunk():
            limits.limit_files(limits.denoised_file_bytes(request.chunk))
            return process_chunk(engine, request, progress)
        case DenoiseChunk():
            limits.limit_files(limits.denoised_file_bytes(request.what.chunk))
            return denoise_only(request, progress)
        case EncodePieces():
            limits.limit_files(limits.denoised_file_bytes(request.what.chunk))
            return cut_pieces(request)
        case FindVoices() | FindTurns():
            return tell_speakers(request, progress)
        case JoinDenoised():
            limits.limit_files(limits.joined_file_bytes(request.paths))
            return join(request)
        case _:
            raise TypeError(type(request))


class _Steps:
    """Reports progress in steps that are worth a message."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._told = 0.0

    def __call__(self, fraction: float) -> None:
        if fraction >= self._told + PROGRESS_STEP:
            self._told = fraction
            self._send(Progress(fraction=fraction))


def _failed(code: FailureCode, message: str, *, transient: bool) -> RequestFailed:
    return RequestFailed(code=code, message=message, transient=transient, traceback=traceback.format_exc()[-8000:])


if __name__ == "__main__":
    main()
