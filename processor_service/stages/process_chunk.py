"""Denoises and transcribes one chunk file: the step that short files and chunks of long ones share."""

from pathlib import Path

from processor_service.audio.split import MAX_CONTEXT_S
from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute.messages import ChunkProcessed, ProcessChunk
from processor_service.stages import time_limits
from processor_service.stages.work import Work
from shared.transcript import Transcript


async def process_chunk(
    work: Work, chunk: ChunkFile, *, span: tuple[float, float] = (0, 1)
) -> tuple[Transcript, Path | None]:
    """The transcript, in the source's time, and the denoised file (None when the client wants none)."""
    denoised = work.scratch / f"{chunk.ordinal}.denoised.flac" if work.task.options.denoise else None
    request = ProcessChunk(
        chunk=chunk,
        options=work.task.options,
        model_path=str(work.model_path()),
        threads=work.slot.threads,
        denoised_path=str(denoised) if denoised else None,
    )
    patience = time_limits.processing(work.settings, audio_s=_duration_s(chunk))
    reply = await work.ask(request, ChunkProcessed, patience=patience, span=span)
    return reply.transcript, denoised


def _duration_s(chunk: ChunkFile) -> float:
    """Of the file, its context too, at most."""
    return (chunk.core_end_frame - chunk.file_start_frame) / chunk.sample_rate_hz + MAX_CONTEXT_S
