"""Diarization: extracts the voices of each chunk, and labels the transcripts of all chunks with speakers."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec

from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute.messages import FindTurns, FindVoices, TurnsFound, VoicesFound
from processor_service.diarization.label_transcript import label_transcript
from processor_service.diarization.weights import find_weights
from processor_service.stages import time_limits
from processor_service.stages.work import Work
from shared.schemas.options import JobOptions
from shared.schemas.transcript import ResultWarning, Transcript, Turn, WarningCode

SHARE = 0.2  # of a chunk's processing time, when the client requests speakers
UNAVAILABLE = ResultWarning(
    code=WarningCode.DIARIZATION_UNAVAILABLE,
    message="Diarization is not installed on this server: the transcript has no speakers.",
)


def voices_share_of(options: JobOptions) -> float:
    """Return the approximate share of a chunk's processing time that voices take."""
    return SHARE if options.diarize else 0.0


async def chunk_voices(work: Work, chunk: ChunkFile, *, span: tuple[float, float] = (0, 1)) -> Path | None:
    """Return the file of a chunk's voices, in the source's time.

    None: speakers are not requested, each channel is a speaker already, or the nets are not installed.
    """
    options = work.task.options
    weights = find_weights(work.models.folder)
    if not options.diarize or weights is None or (options.channels == "separate" and chunk.channels > 1):
        return None
    voices = work.scratch / f"{chunk.ordinal}.voices"
    request = FindVoices(chunk=chunk, weights=weights, threads=work.slot.threads, voices_path=str(voices))
    duration_s = (chunk.core_end_frame - chunk.core_start_frame) / chunk.sample_rate_hz
    time_limit = time_limits.processing(work.settings, audio_s=duration_s)
    await work.ask(request, VoicesFound, time_limit=time_limit, span=span)
    return voices


class Labelled(msgspec.Struct, frozen=True, kw_only=True):
    """The transcripts, with speakers if requested, and the turns of the speakers."""

    transcripts: tuple[Transcript, ...]
    turns: tuple[Turn, ...] = ()
    warnings: tuple[ResultWarning, ...] = ()


async def label_speakers(work: Work, transcripts: Sequence[Transcript], voices: Sequence[Path | None]) -> Labelled:
    """Label the transcripts of all chunks, in order. Labels require the voices of every chunk; None: they are missing.

    The turns are those of the whole file.
    """
    options = work.task.options
    paths = tuple(str(path) for path in voices if path is not None)
    if not options.diarize or len(paths) < len(voices):
        is_unavailable = options.diarize and options.channels == "mix"
        return Labelled(transcripts=tuple(transcripts), warnings=(UNAVAILABLE,) if is_unavailable else ())
    request = FindTurns(
        voices_paths=paths,
        at_least=options.num_speakers or options.min_speakers,
        at_most=options.num_speakers or options.max_speakers,
    )
    time_limit = time_limits.joining(work.settings, audio_s=sum(one.duration for one in transcripts))
    turns = (await work.ask(request, TurnsFound, time_limit=time_limit, span=(1, 1))).turns
    labelled = await asyncio.to_thread(lambda: tuple(label_transcript(one, turns) for one in transcripts))
    return Labelled(transcripts=labelled, turns=turns)
