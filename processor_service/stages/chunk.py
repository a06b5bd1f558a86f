"""Chunk: transcribe and denoise one chunk of a long file, extract its voices, and store the results."""

from pathlib import Path

import msgspec

from processor_service.audio.split import MAX_CONTEXT_S
from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute.messages import ChunkProcessed, ProcessChunk, Reply, WindowTranscribed
from processor_service.errors import PermanentError, TaskError
from processor_service.providers.failover import serving
from processor_service.providers.openai_api import OpenAIApi
from processor_service.stages import time_limits
from processor_service.stages.diarize import require_nets
from processor_service.stages.speakers import chunk_voices, voices_share_of
from processor_service.stages.transcribe_remotely import ANSWERED, ask_providers
from processor_service.stages.work import Work
from processor_service.tasks.outcomes import ChunkDone, ChunkInput
from processor_service.transcribers.engines import NO_ENGINE
from shared.blobs import blob_keys
from shared.failpoints import failpoint
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript
from shared.schemas.windows import Window


async def chunk(work: Work) -> ChunkDone:
    """Process and store one chunk; its transcript last. A diarization of a finished job needs its voices only."""
    require_nets(work)
    job_id, generation, ordinal = work.task.job_id, work.task.chunk_generation, work.task.ordinal
    keys = (blob_keys.chunk_denoised, blob_keys.chunk_voices, blob_keys.chunk_transcript)
    await work.open_budget(*(key(job_id, generation, ordinal) for key in keys))
    file = await _chunk_file(work)
    if work.task.text_generation is None:
        voices_share = voices_share_of(work.task.options)
        results = await transcribe_and_denoise(work, file, span=(0, 1 - voices_share))
        await _store(work, await chunk_voices(work, file, span=(1 - voices_share, 1)), *results)
        return ChunkDone(results[0].engine, results[0].model)
    await _store(work, await chunk_voices(work, file))
    return ChunkDone()


async def _store(
    work: Work, voices: Path | None, transcript: Transcript | None = None, denoised: Path | None = None
) -> None:
    job_id, generation, ordinal = work.task.job_id, work.task.chunk_generation, work.task.ordinal
    failpoint("chunk.before_put")
    if denoised:
        await work.put(blob_keys.chunk_denoised(job_id, generation, ordinal), denoised)
    if voices:
        await work.put(blob_keys.chunk_voices(job_id, generation, ordinal), voices)
    failpoint("chunk.between_puts")
    if transcript:
        await work.put(blob_keys.chunk_transcript(job_id, generation, ordinal), msgspec.json.encode(transcript))
    failpoint("chunk.after_put")


async def _chunk_file(work: Work) -> ChunkFile:
    task = work.task
    path = await work.local_file(blob_keys.chunk_audio(task.job_id, task.chunk_generation, task.ordinal), "chunk.flac")
    chunk_input = msgspec.json.decode(task.input or b"", type=ChunkInput)
    return chunk_input.file_at(str(path), task.ordinal)


async def transcribe_and_denoise(
    work: Work, chunk: ChunkFile, *, span: tuple[float, float] = (0, 1)
) -> tuple[Transcript, Path | None]:
    """Return the transcript, in the source's time, and the denoised file (None: not requested).

    Providers come first, in the order of the settings. The engine of the compute child is the last resort.
    """
    if work.task.options.diarize_only:
        return _no_text(chunk), None
    denoised = work.scratch / f"{chunk.ordinal}.denoised.flac" if work.task.options.denoise else None
    request = _request(work, chunk, denoised)
    time_limit = time_limits.processing(work.settings, audio_s=_audio_s(chunk, work.task.options))
    failure: TaskError | None = None
    if providers := _providers(work):
        request, failure = await ask_providers(work, providers, request, time_limit, span=span)
    if request.provider_transcripts:
        span = (span[0] + ANSWERED * (span[1] - span[0]), span[1])
    else:
        request = msgspec.structs.replace(request, model_path=_local_model(work, failure))
    on_reply = _WindowReplies(work, chunk.ordinal) if request.options.stream_windows else None
    reply = await work.ask(request, ChunkProcessed, time_limit=time_limit, span=span, on_reply=on_reply)
    return reply.transcript, denoised


def _no_text(chunk: ChunkFile) -> Transcript:
    duration_s = (chunk.core_end_frame - chunk.core_start_frame) / chunk.sample_rate_hz
    return Transcript(text="", language=None, duration=duration_s, segments=())


class _WindowReplies:
    """Publishes the windows of a chunk, numbered from 0 in each attempt."""

    def __init__(self, work: Work, ordinal: int) -> None:
        self._publish = work.publish_window
        self._ordinal = ordinal
        self._published = 0

    async def __call__(self, reply: Reply) -> None:
        if isinstance(reply, WindowTranscribed):
            window = Window(chunk=self._ordinal, number=self._published, segments=reply.segments, is_last=reply.is_last)
            self._publish(window)
            self._published += 1


def _providers(work: Work) -> tuple[OpenAIApi, ...]:
    """Return the providers to ask. A local engine detects the language alone; a provider would transcribe."""
    is_local = work.task.options.detect_language_only and work.settings.transcriber != NO_ENGINE
    return () if is_local else serving(work.providers, work.task.options)


def _request(work: Work, chunk: ChunkFile, denoised: Path | None) -> ProcessChunk:
    """Return the request without its engine, which is decided later."""
    options = work.task.transcription_options
    if options.changes_text:  # a number may go over windows: its beginning alone is not recognized
        options = msgspec.structs.replace(options, stream_windows=False)
    return ProcessChunk(
        chunk=chunk,
        options=options,
        model_path="",
        threads=work.slot.threads,
        denoised_path=str(denoised) if denoised else None,
        denoiser=work.settings.denoiser_settings(),
    )


def _local_model(work: Work, failure: TaskError | None) -> str:
    """Return the model of the last resort. Without one, raise the failure of the providers."""
    try:
        return str(work.model_path())
    except PermanentError:
        if failure is None:
            raise
        raise failure from None


def _audio_s(chunk: ChunkFile, options: JobOptions) -> float:
    """Return the most audio to process: the file with its context, once for each separate channel."""
    duration_s = (chunk.core_end_frame - chunk.file_start_frame) / chunk.sample_rate_hz + MAX_CONTEXT_S
    return duration_s * (chunk.channels if options.channels == "separate" else 1)
