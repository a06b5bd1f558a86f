"""Chunk: transcribe and denoise one chunk of a long file, find the voices in it, and store all that beside it."""

from pathlib import Path

import msgspec

from processor_service.audio.split import MAX_CONTEXT_S
from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute.messages import ChunkProcessed, ProcessChunk
from processor_service.errors import PermanentError, TaskError
from processor_service.providers.failover import serving
from processor_service.stages import time_limits
from processor_service.stages.speakers import find_voices, voices_share_of
from processor_service.stages.transcribe_remotely import ANSWERED, hear_remotely
from processor_service.stages.work import Work
from processor_service.tasks.outcomes import ChunkDone, ChunkInput
from shared.blobs import blob_keys
from shared.failpoints import failpoint
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript

# Denoises and transcribes one chunk file: the step that short files and chunks of long ones share.
#
# Remote engines come first, in the order of the settings; the engine of the compute child is the last resort.


async def process_chunk(
    work: Work, chunk: ChunkFile, *, span: tuple[float, float] = (0, 1)
) -> tuple[Transcript, Path | None]:
    """The transcript, in the source's time, and the denoised file (None when the client wants none)."""
    denoised = work.scratch / f"{chunk.ordinal}.denoised.flac" if work.task.options.denoise else None
    request = _request(work, chunk, denoised)
    patience = time_limits.processing(work.settings, audio_s=_heard_s(chunk, work.task.options))
    failure: TaskError | None = None
    if providers := serving(work.providers, work.task.options):
        request, failure = await hear_remotely(work, providers, request, patience, span=span)
    if request.heard:
        span = (span[0] + ANSWERED * (span[1] - span[0]), span[1])
    else:
        request = msgspec.structs.replace(request, model_path=_local_model(work, failure))
    reply = await work.ask(request, ChunkProcessed, patience=patience, span=span)
    return reply.transcript, denoised


def _request(work: Work, chunk: ChunkFile, denoised: Path | None) -> ProcessChunk:
    """Who transcribes is not said yet."""
    return ProcessChunk(
        chunk=chunk,
        options=work.task.options,
        model_path="",
        threads=work.slot.threads,
        denoised_path=str(denoised) if denoised else None,
        denoiser=work.settings.denoiser_settings(),
    )


def _local_model(work: Work, failure: TaskError | None) -> str:
    """The model for the last resort; where there is none, the failure of the remote engines is the task's."""
    try:
        return str(work.model_path())
    except PermanentError:
        if failure is None:
            raise
        raise failure from None


def _heard_s(chunk: ChunkFile, options: JobOptions) -> float:
    """How much audio is worked through at most: the file, its context too; once for each channel that is told apart."""
    duration_s = (chunk.core_end_frame - chunk.file_start_frame) / chunk.sample_rate_hz + MAX_CONTEXT_S
    return duration_s * (chunk.channels if options.channels == "separate" else 1)


async def chunk(work: Work) -> ChunkDone:
    """Do one chunk."""
    job_id, generation, ordinal = work.task.job_id, work.task.chunk_generation, work.task.ordinal
    file = await _chunk_file(work)
    voices_share = voices_share_of(work.task.options)
    transcript, denoised = await process_chunk(work, file, span=(0, 1 - voices_share))
    voices = await find_voices(work, file, span=(1 - voices_share, 1))
    failpoint("chunk.before_put")
    if denoised:
        await work.blobs.put(blob_keys.chunk_denoised(job_id, generation, ordinal), denoised)
    if voices:
        await work.blobs.put(blob_keys.chunk_voices(job_id, generation, ordinal), voices)
    failpoint("chunk.between_puts")
    await work.blobs.put(blob_keys.chunk_transcript(job_id, generation, ordinal), msgspec.json.encode(transcript))
    failpoint("chunk.after_put")
    return ChunkDone()


async def _chunk_file(work: Work) -> ChunkFile:
    task = work.task
    path = await work.local_file(blob_keys.chunk_audio(task.job_id, task.chunk_generation, task.ordinal), "chunk.flac")
    span = msgspec.json.decode(task.input or b"", type=ChunkInput)
    return ChunkFile(
        path=str(path),
        ordinal=task.ordinal,
        file_start_frame=span.file_start_frame,
        core_start_frame=span.core_start_frame,
        core_end_frame=span.core_end_frame,
        sample_rate_hz=span.sample_rate_hz,
        channels=span.channels,
        starts_in_speech=span.starts_in_speech,
        ends_in_speech=span.ends_in_speech,
    )
