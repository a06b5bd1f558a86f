"""A compute child: `isolation` starts it, by request of `pool`. It handles one request at a time.

It has no access to the network, the database, Redis or secrets. It receives paths, and writes files and replies.
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
from processor_service.audio.scratch_files import limit_writes, write_file
from processor_service.compute import resource_limits
from processor_service.compute.messages import (
    REPLIES_FD,
    REQUESTS_FD,
    Allow,
    DenoiseChunk,
    EmbedSample,
    EncodePieces,
    FindTurns,
    FindVoices,
    JoinDenoised,
    ProcessChunk,
    Progress,
    Ready,
    RedactAudio,
    Reply,
    Request,
    RequestFailed,
    SampleEmbedded,
    SplitSource,
    TurnsFound,
    VoicesFound,
    Warm,
    frame,
    read_request,
)
from processor_service.compute.requests import (
    Engine,
    denoise_only,
    encode_for_providers,
    join,
    process_chunk,
    redact,
    split,
    warm_up_audio,
)
from processor_service.errors import TaskError, storage_full
from processor_service.transcribers.engines import load_transcriber
from processor_service.transcribers.transcriber import Transcriber
from shared.disk_reserve import is_full
from shared.schemas.failures import FailureCode

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PROGRESS_STEP = 0.001  # the least progress that is sent

Send = Callable[[Reply], None]


def main(missing: tuple[str, ...]) -> None:
    """Answer requests from standard input until it closes. `missing`: the steps of isolation that were refused."""
    _die_with_the_worker()
    requests, replies = _take_pipes()
    resource_limits.limit_process()

    def send(reply: Reply) -> None:
        replies.write(frame(reply))
        replies.flush()

    engine: Engine | None = None
    while (request := read_request(requests)) is not None:
        if isinstance(request, Allow):
            resource_limits.allow_cpu(request.cpu_s)
            limit_writes(request.writes)
        elif isinstance(request, Warm):
            engine = _warm(request)
            send(Ready(missing=missing))
        elif engine is not None:
            send(_answer(engine, request, send))


def _die_with_the_worker() -> None:
    """Let Linux kill this process when the worker dies; on other systems the closed pipe ends it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Reserve standard output for replies; send what libraries print to standard error."""
    os.dup2(0, REQUESTS_FD, inheritable=False)
    os.dup2(1, REPLIES_FD, inheritable=False)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return os.fdopen(REQUESTS_FD, "rb"), os.fdopen(REPLIES_FD, "wb")


def _warm(request: Warm) -> Engine:
    memory = resource_limits.MemoryLimit(request.memory_bytes)

    def load(name: str, model_path: Path) -> Transcriber:
        memory.allow_model(model_path)
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
    except TaskError as error:
        return _failed(error.code, error.message, transient=error.transient)
    except OSError as error:
        if is_full(error):
            full = storage_full()
            return _failed(full.code, full.message, transient=True)
        return _internal()
    except Exception as error:  # noqa: BLE001 - a defect fails one request, not the warm child
        if resource_limits.is_out_of_memory(error):
            os._exit(resource_limits.OUT_OF_MEMORY_STATUS)  # libraries may be in a broken state: count it as a crash
        return _internal()


def _internal() -> RequestFailed:
    return _failed(FailureCode.INTERNAL, "An internal error stopped the processing.", transient=True)


def _done(engine: Engine, request: Request, send: Send) -> Reply:  # noqa: PLR0911 - one return a request
    progress = _Steps(send)
    match request:
        case SplitSource():
            return split(request, send, progress, limit_files=resource_limits.limit_files)
        case ProcessChunk(chunk=chunk):
            resource_limits.limit_files(resource_limits.denoised_file_bytes(chunk))
            return process_chunk(engine, request, progress, send)
        case DenoiseChunk(what=what):
            resource_limits.limit_files(resource_limits.denoised_file_bytes(what.chunk))
            return denoise_only(request, progress)
        case EncodePieces(what=what):
            resource_limits.limit_files(resource_limits.denoised_file_bytes(what.chunk))
            return encode_for_providers(request)
        case FindVoices():
            return _find_voices(request, progress)
        case FindTurns():
            return _find_turns(request)
        case EmbedSample():
            return _embed_sample(request)
        case JoinDenoised():
            resource_limits.limit_files(resource_limits.joined_file_bytes(request.paths))
            return join(request)
        case RedactAudio():
            return redact(request, progress, limit_files=resource_limits.limit_files)
        case _:
            raise TypeError(type(request))


class _Steps:
    """Sends progress in steps of at least PROGRESS_STEP."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._sent = 0.0

    def __call__(self, fraction: float) -> None:
        if fraction >= self._sent + PROGRESS_STEP:
            self._sent = fraction
            self._send(Progress(fraction=fraction))


def _failed(code: FailureCode, message: str, *, transient: bool) -> RequestFailed:
    return RequestFailed(code=code, message=message, transient=transient, traceback=traceback.format_exc()[-8000:])


def _find_voices(request: FindVoices, progress: Callable[[float], None]) -> Reply:
    """Find the voices in the core of a chunk, in the source's time. Import late: these imports take seconds."""
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
    write_file(Path(request.voices_path), msgspec.msgpack.encode(voices))
    return VoicesFound()


def _find_turns(request: FindTurns) -> Reply:
    from processor_service.diarization.speaker_turns import turns_and_matches
    from processor_service.diarization.voices import Voices

    chunks = [msgspec.msgpack.decode(Path(path).read_bytes(), type=Voices) for path in request.voices_paths]
    turns, matches = turns_and_matches(chunks, request.known, at_least=request.at_least, at_most=request.at_most)
    return TurnsFound(turns=turns, matches=matches)


def _embed_sample(request: EmbedSample) -> Reply:
    import torch

    from processor_service.diarization.known_voices import encode_voice, sample_voice
    from processor_service.diarization.nets import load_nets
    from processor_service.diarization.voice_embeddings import find_voices

    torch.set_num_threads(request.threads)
    nets, rate_hz, path = load_nets(request.weights), request.chunk.sample_rate_hz, Path(request.chunk.path)
    frames = [(round(start * rate_hz), round(end * rate_hz)) for start, end in request.spans]
    sounds = [load_mono_16k(path, start, end) for start, end in frames]
    voice = sample_voice([find_voices(nets, sound, offset_s=0.0) for sound in sounds if len(sound)])
    if voice is None:
        return SampleEmbedded(embedding=b"", speech_s=0.0)
    return SampleEmbedded(embedding=encode_voice(voice.vector), speech_s=round(voice.speech_s, 2))
