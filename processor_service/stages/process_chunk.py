"""Denoises and transcribes one chunk file: the step that short files and chunks of long ones share.

Remote engines come first, in the order of the settings; the engine of the compute child is the last resort.
"""

from pathlib import Path

import msgspec

from processor_service.audio.split import MAX_CONTEXT_S
from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute.messages import ChunkProcessed, ProcessChunk
from processor_service.errors import PermanentError, TaskError
from processor_service.providers.failover import serving
from processor_service.stages import time_limits
from processor_service.stages.transcribe_remotely import ANSWERED, hear_remotely
from processor_service.stages.work import Work
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript


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
