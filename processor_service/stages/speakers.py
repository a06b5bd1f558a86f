"""Finds the voices in a chunk, where the client asked for speakers, as a file to be stored beside its transcript."""

from pathlib import Path

from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute.messages import FindVoices, VoicesFound
from processor_service.diarization.weights import find_weights
from processor_service.stages import time_limits
from processor_service.stages.work import Work
from shared.schemas.options import JobOptions

SHARE = 0.2  # of a chunk's time, where speakers are asked for


def voices_share_of(options: JobOptions) -> float:
    """How much of the time that a chunk takes goes into finding voices, roughly."""
    return SHARE if options.diarize else 0.0


async def find_voices(work: Work, chunk: ChunkFile, *, span: tuple[float, float] = (0, 1)) -> Path | None:
    """The file of the voices in the source's time; None where nobody asked, or the nets are not on this machine.

    Where each channel is a speaker by itself nobody needs to be told apart.
    """
    options = work.task.options
    weights = find_weights(work.models.folder)
    if not options.diarize or weights is None or (options.channels == "separate" and chunk.channels > 1):
        return None
    voices = work.scratch / f"{chunk.ordinal}.voices"
    request = FindVoices(chunk=chunk, weights=weights, threads=work.slot.threads, voices_path=str(voices))
    duration_s = (chunk.core_end_frame - chunk.core_start_frame) / chunk.sample_rate_hz
    patience = time_limits.processing(work.settings, audio_s=duration_s)
    await work.ask(request, VoicesFound, patience=patience, span=span)
    return voices
