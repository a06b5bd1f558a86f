"""What a compute child does for each request: plain steps over the audio library and a transcriber."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from processor_service.audio.decode import open_source
from processor_service.audio.denoise import denoise, denoise_chunk
from processor_service.audio.find_speech import FINE, speech_regions
from processor_service.audio.join import half_fade_frames, join_denoised
from processor_service.audio.load_mono import load_mono_16k
from processor_service.audio.write_chunks import write_chunks
from processor_service.compute.limits import MODELS_LOADED, audio_file_bytes
from processor_service.compute.messages import (
    ChunkProcessed,
    ChunkWritten,
    JoinDenoised,
    Joined,
    Prepared,
    ProcessChunk,
    Reply,
    SplitSource,
)
from processor_service.transcribers import Transcriber
from processor_service.transcribers.protocol import SAMPLE_RATE_HZ, FloatArray, shifted
from processor_service.transcribers.snap_times import snap_times
from processor_service.transcribers.windows import plan_windows
from shared.transcript import Transcript

OnProgress = Callable[[float], None]
TRANSCRIBING_SHARE = 0.8  # of a chunk's time, roughly; the rest is denoising
FADE_S = 0.5  # how much of neighbouring denoised chunks overlaps at a joint


class Engine:
    """The transcribers of this child, by model; the two used last stay loaded."""

    def __init__(self, name: str, load: Callable[[str, Path], Transcriber]) -> None:
        self._name = name
        self._load = load
        self._loaded: dict[Path, Transcriber] = {}

    def transcriber(self, model_path: Path) -> Transcriber:
        transcriber = self._loaded.pop(model_path, None)
        if transcriber is None:
            self._make_room()
            transcriber = self._load(self._name, model_path)
        self._loaded[model_path] = transcriber
        return transcriber

    def _make_room(self) -> None:
        while len(self._loaded) >= MODELS_LOADED:
            del self._loaded[next(iter(self._loaded))]


def warm_up_audio() -> None:
    """Run the speech finder and the denoiser once: what they import takes seconds."""
    noise = np.random.default_rng(0).normal(0, 0.05, SAMPLE_RATE_HZ).astype(np.float32)
    speech_regions(noise)
    denoise(noise[:, None], SAMPLE_RATE_HZ)


def split(
    request: SplitSource,
    send: Callable[[Reply], None],
    progress: OnProgress,
    *,
    limit_files: Callable[[int], None] = lambda _: None,
) -> Reply:
    """Decode in one streaming pass; every chunk file is announced when it is complete.

    `limit_files` is told how large a file may become, once that is known.
    """
    with open_source(Path(request.source_path), max_audio_s=request.max_audio_s) as source:
        limit_files(audio_file_bytes(request.max_audio_s, source.sample_rate_hz, source.channels))
        audio = write_chunks(
            source,
            Path(request.out_dir),
            threshold_s=request.threshold_s,
            chunk_s=request.chunk_s,
            on_chunk=lambda chunk: send(ChunkWritten(chunk=chunk)),
            on_progress=progress,
        )
    return Prepared(audio=audio)


def process_chunk(engine: Engine, request: ProcessChunk, progress: OnProgress) -> Reply:
    """Denoise and transcribe one chunk; which of them is read by the transcriber is the client's choice."""
    transcriber = engine.transcriber(Path(request.model_path))
    from_denoised = request.options.transcribe_from == "denoised"
    if from_denoised:
        _denoise(request, _part(progress, 0, 1 - TRANSCRIBING_SHARE))
        transcript = _transcribe(transcriber, request, _part(progress, 1 - TRANSCRIBING_SHARE, 1), from_denoised=True)
    else:
        transcript = _transcribe(transcriber, request, _part(progress, 0, TRANSCRIBING_SHARE), from_denoised=False)
        _denoise(request, _part(progress, TRANSCRIBING_SHARE, 1))
    return ChunkProcessed(transcript=transcript)


def _part(progress: OnProgress, start: float, end: float) -> OnProgress:
    """Reports progress of a step as the part of the whole that it is."""
    return lambda fraction: progress(start + fraction * (end - start))


def join(request: JoinDenoised) -> Reply:
    """Join denoised chunks with a cross-fade."""
    join_denoised([Path(path) for path in request.paths], Path(request.out_path), fade_s=FADE_S)
    return Joined()


def _denoise(request: ProcessChunk, progress: OnProgress) -> None:
    if request.denoised_path is not None:
        denoise_chunk(request.chunk, Path(request.denoised_path), fade_s=FADE_S, on_progress=progress)


def _transcribe(
    transcriber: Transcriber, request: ProcessChunk, progress: OnProgress, *, from_denoised: bool
) -> Transcript:
    chunk = request.chunk
    audio = _read_core(request, from_denoised=from_denoised)
    duration_s = len(audio) / SAMPLE_RATE_HZ
    speech = speech_regions(audio, FINE) if transcriber.wants_speech_only else [(0.0, duration_s)]
    windows = plan_windows(speech, duration_s) if transcriber.wants_speech_only else speech
    transcript = transcriber.transcribe(audio, windows, request.options, threads=request.threads, on_progress=progress)
    transcript = snap_times(transcript, speech)
    transcript = msgspec.structs.replace(transcript, transcribed_from=request.options.transcribe_from)
    return shifted(transcript, chunk.core_start_frame / chunk.sample_rate_hz)


def _read_core(request: ProcessChunk, *, from_denoised: bool) -> FloatArray:
    """The chunk without its context, as 16 kHz mono; the denoised file begins half a fade before the core."""
    chunk = request.chunk
    core_frames = chunk.core_end_frame - chunk.core_start_frame
    lead_frames = chunk.core_start_frame - chunk.file_start_frame
    path = Path(chunk.path)
    if from_denoised and request.denoised_path is not None:
        lead_frames = min(lead_frames, half_fade_frames(FADE_S, chunk.sample_rate_hz))
        path = Path(request.denoised_path)
    return load_mono_16k(path, lead_frames, lead_frames + core_frames)
