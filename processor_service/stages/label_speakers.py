"""Tells the speakers of a whole file apart, and puts their names on the transcripts of its chunks."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec

from processor_service.compute.messages import FindTurns, TurnsFound
from processor_service.diarization.label_transcript import label_transcript
from processor_service.stages import time_limits
from processor_service.stages.work import Work
from shared.schemas.transcript import ResultWarning, Transcript, Turn, WarningCode

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
