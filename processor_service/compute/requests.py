"""What a compute child does for each request."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from processor_service.audio.decode import open_source
from processor_service.audio.denoise import denoise_chunk
from processor_service.audio.find_speech import speech_regions
from processor_service.audio.join import FADE_S, join_denoised
from processor_service.audio.peaks import PeakMeter
from processor_service.audio.redact import redact_file, redact_source, shifted
from processor_service.audio.write_chunks import write_chunks
from processor_service.compute.load_sounds import channels_of, load_sounds, span_to_transcribe
from processor_service.compute.messages import (
    AudioRedacted,
    ChunkProcessed,
    ChunkWritten,
    DenoiseChunk,
    Denoised,
    EncodePieces,
    JoinDenoised,
    Joined,
    PiecesEncoded,
    Prepared,
    ProcessChunk,
    RedactAudio,
    Reply,
    SplitSource,
)
from processor_service.compute.resource_limits import MODELS_LOADED, audio_file_bytes
from processor_service.compute.stream_chunk import SendWindow, ignore_window
from processor_service.compute.transcribe_chunk import transcribe_chunk
from processor_service.denoisers import DenoiserSettings, load_denoiser
from processor_service.providers.plan_pieces import encode_pieces
from processor_service.providers.remote_transcripts import RemoteTranscripts
from processor_service.transcribers.transcriber import SAMPLE_RATE_HZ, Transcriber

OnProgress = Callable[[float], None]
DEFAULT_DENOISER = DenoiserSettings()
TRANSCRIBING_SHARE = 0.8  # of a chunk's processing time, approximately; the rest is denoising


class Engine:
    """The transcribers of this child, by model. The last two stay loaded."""

    def __init__(self, name: str, load: Callable[[str, Path], Transcriber]) -> None:
        self._name = name
        self._load = load
        self._loaded: dict[Path, Transcriber] = {}

    def transcriber(self, model_path: Path) -> Transcriber:
        transcriber = self._loaded.pop(model_path, None)
        if transcriber is None:
            self._unload_oldest()
            transcriber = self._load(self._name, model_path)
        self._loaded[model_path] = transcriber
        return transcriber

    def _unload_oldest(self) -> None:
        while len(self._loaded) >= MODELS_LOADED:
            del self._loaded[next(iter(self._loaded))]


def warm_up_audio(denoiser: DenoiserSettings = DEFAULT_DENOISER) -> None:
    """Run speech detection and the denoiser once: their imports take seconds."""
    noise = np.random.default_rng(0).normal(0, 0.05, SAMPLE_RATE_HZ).astype(np.float32)
    speech_regions(noise)
    clean = load_denoiser(denoiser).cleaner(SAMPLE_RATE_HZ, noise)
    clean(noise, 0, len(noise))


def split(
    request: SplitSource,
    send: Callable[[Reply], None],
    progress: OnProgress,
    *,
    limit_files: Callable[[int], None] = lambda _: None,
) -> Reply:
    """Decode in one streaming pass, which also computes the peaks; send a reply for every complete chunk file.

    `limit_files` receives the largest allowed file size in bytes, once the format is known.
    """
    path, longest_s = Path(request.source_path), request.max_audio_s
    with open_source(path, track=request.track, max_audio_s=longest_s, part=request.part) as source:
        limit_files(audio_file_bytes(request.max_audio_s, source.sample_rate_hz, source.channels))
        meter = PeakMeter(source.sample_rate_hz, source.channels, start_frame=source.start_frame)
        audio = write_chunks(
            source,
            Path(request.out_dir),
            threshold_s=request.threshold_s,
            chunk_s=request.chunk_s,
            on_chunk=lambda chunk: send(ChunkWritten(chunk=chunk)),
            on_progress=progress,
            on_block=meter.add,
        )
    return Prepared(audio=audio, peaks=meter.write(Path(request.out_dir)))


def process_chunk(
    engine: Engine, request: ProcessChunk, progress: OnProgress, send_window: SendWindow = ignore_window
) -> Reply:
    """Denoise and transcribe one chunk. The option `transcribe_from` decides which audio the transcriber reads."""
    answered = request.provider_transcripts
    transcriber = RemoteTranscripts(answered) if answered else engine.transcriber(Path(request.model_path))
    from_denoised = request.options.transcribe_from == "denoised"
    denoised_in_s = 0.0
    if from_denoised:
        denoised_in_s = _denoise(request, _part(progress, 0, 1 - TRANSCRIBING_SHARE))
    began_s = time.perf_counter()
    share = (1 - TRANSCRIBING_SHARE, 1.0) if from_denoised else (0.0, TRANSCRIBING_SHARE)
    transcript = transcribe_chunk(
        transcriber, request, _part(progress, *share), from_denoised=from_denoised, send_window=send_window
    )
    transcribed_in_s = time.perf_counter() - began_s
    if not from_denoised:
        denoised_in_s = _denoise(request, _part(progress, TRANSCRIBING_SHARE, 1))
    return ChunkProcessed(transcript=transcript, transcribed_in_s=transcribed_in_s, denoised_in_s=denoised_in_s)


def denoise_only(request: DenoiseChunk, progress: OnProgress) -> Reply:
    """Denoise a chunk while a provider transcribes it."""
    _denoise(request.what, progress)
    return Denoised()


def encode_for_providers(request: EncodePieces) -> Reply:
    """Encode what ProcessChunk would transcribe, one set of pieces a channel."""
    what = request.what
    span = span_to_transcribe(what, from_denoised=what.options.transcribe_from == "denoised")
    pieces = []
    for number, sound in enumerate(load_sounds(span, channels_of(what))):
        pieces.append(encode_pieces(sound.audio, Path(request.out_dir) / str(number), request.longest_s))
    return PiecesEncoded(channels=tuple(pieces))


def _part(progress: OnProgress, start: float, end: float) -> OnProgress:
    """Map the progress of a step to its part of the whole."""
    return lambda fraction: progress(start + fraction * (end - start))


def join(request: JoinDenoised) -> Reply:
    """Join denoised chunks with a cross-fade."""
    join_denoised([Path(path) for path in request.paths], Path(request.out_path), fade_s=FADE_S)
    return Joined()


def redact(request: RedactAudio, progress: OnProgress, *, limit_files: Callable[[int], None] = lambda _: None) -> Reply:
    """Write a redacted copy of a source, and of its denoised audio. `limit_files`: see `split`."""
    out_path = Path(request.out_path)
    with open_source(Path(request.source_path), track=request.track, max_audio_s=request.max_audio_s) as source:
        limit_files(audio_file_bytes(request.max_audio_s, source.sample_rate_hz, source.channels))
        meter = PeakMeter(source.sample_rate_hz, source.channels)
        redact_source(
            source, out_path, request.spans, with_tone=request.with_tone, on_block=meter.add, on_progress=progress
        )
    if request.denoised_path and request.denoised_out_path:
        denoised = Path(request.denoised_path), Path(request.denoised_out_path)
        redact_file(*denoised, shifted(request.spans, -request.denoised_start_s), with_tone=request.with_tone)
    return AudioRedacted(peaks=meter.write(out_path.parent))


def _denoise(request: ProcessChunk, progress: OnProgress) -> float:
    """Denoise if requested. Return the seconds that it took; 0: nothing to do."""
    if request.denoised_path is None or request.is_denoised:
        return 0.0
    denoiser = load_denoiser(request.denoiser)
    began_s = time.perf_counter()
    denoise_chunk(request.chunk, Path(request.denoised_path), denoiser, fade_s=FADE_S, on_progress=progress)
    return time.perf_counter() - began_s
