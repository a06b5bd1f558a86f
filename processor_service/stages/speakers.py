"""Finds the voices in a chunk, where the client asked for speakers, as a file to be stored beside its transcript."""

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

# Tells the speakers of a whole file apart, and puts their names on the transcripts of its chunks.

UNAVAILABLE = ResultWarning(
    code=WarningCode.DIARIZATION_UNAVAILABLE,
    message="Speakers were asked for, but this service has not what it takes to tell them apart.",
)


class Labelled(msgspec.Struct, frozen=True, kw_only=True):
    """The transcripts with speakers, where they were asked for, and who spoke when."""

    transcripts: tuple[Transcript, ...]
    turns: tuple[Turn, ...] = ()
    warnings: tuple[ResultWarning, ...] = ()


async def label_speakers(work: Work, transcripts: Sequence[Transcript], voices: Sequence[Path | None]) -> Labelled:
    """Transcripts and voices of all chunks, in order. All voices are needed; None is a chunk whose are missing."""
    options = work.task.options
    paths = tuple(str(path) for path in voices if path is not None)
    if not options.diarize or len(paths) < len(voices):
        is_missed = options.diarize and options.channels == "mix"
        return Labelled(transcripts=tuple(transcripts), warnings=(UNAVAILABLE,) if is_missed else ())
    request = FindTurns(voices_paths=paths, at_least=options.min_speakers, at_most=options.max_speakers)
    patience = time_limits.joining(work.settings, audio_s=sum(one.duration for one in transcripts))
    turns = (await work.ask(request, TurnsFound, patience=patience, span=(1, 1))).turns
    labelled = await asyncio.to_thread(lambda: tuple(label_transcript(one, turns) for one in transcripts))
    return Labelled(transcripts=labelled, turns=turns)


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
