"""Diarization: extracts the voices of each chunk, and labels the transcripts of all chunks with speakers and names."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute.messages import FindTurns, FindVoices, TurnsFound, VoicesFound
from processor_service.diarization.known_voices import VoiceMatch
from processor_service.diarization.label_transcript import label_transcript
from processor_service.diarization.weights import find_weights
from processor_service.stages import time_limits
from processor_service.stages.known_speakers import known_voices, why_not_compared
from processor_service.stages.work import Work
from shared.schemas.options import JobOptions
from shared.schemas.transcript import NamedSpeaker, ResultWarning, Transcript, Turn, WarningCode
from shared.speaker_names import with_names
from shared.speaker_statistics import with_statistics

SHARE = 0.2  # of a chunk's processing time, when the client requests speakers
UNAVAILABLE = ResultWarning(
    code=WarningCode.DIARIZATION_UNAVAILABLE,
    message="Diarization is not installed on this server: the transcript has no speakers.",
)


def voices_share_of(options: JobOptions) -> float:
    """Return the approximate share of a chunk's processing time that voices take."""
    if options.diarize_only:
        return 1.0
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
    matches: tuple[VoiceMatch, ...] = ()  # the speakers whose voices are known
    warnings: tuple[ResultWarning, ...] = ()


async def label_speakers(work: Work, transcripts: Sequence[Transcript], voices: Sequence[Path | None]) -> Labelled:
    """Label the transcripts of all chunks, in order. Labels require the voices of every chunk; None: they are missing.

    The turns are those of the whole file.
    """
    options = work.task.options
    paths = tuple(str(path) for path in voices if path is not None)
    if not options.diarize or len(paths) < len(voices):
        is_unavailable = options.diarize and options.channels == "mix"
        warnings = (UNAVAILABLE,) if is_unavailable else why_not_compared(options)
        return Labelled(transcripts=tuple(transcripts), warnings=warnings)
    known, warnings = await known_voices(work)
    request = FindTurns(
        voices_paths=paths,
        known=known,
        at_least=options.num_speakers or options.min_speakers,
        at_most=options.num_speakers or options.max_speakers,
    )
    time_limit = time_limits.joining(work.settings, audio_s=sum(one.duration for one in transcripts))
    found = await work.ask(request, TurnsFound, time_limit=time_limit, span=(1, 1))
    labelled = await asyncio.to_thread(lambda: tuple(label_transcript(one, found.turns) for one in transcripts))
    return Labelled(transcripts=labelled, turns=found.turns, matches=found.matches, warnings=warnings)


async def name_speakers(work: Work, transcript: Transcript, matches: Sequence[VoiceMatch]) -> Transcript:
    """Return the whole transcript with the names of its speakers, and their statistics; as it is without speakers."""
    if not transcript.speakers:
        return transcript
    return await asyncio.to_thread(named, transcript, work.task.options.speaker_names or {}, matches)


def named(transcript: Transcript, names: Mapping[str, str], matches: Sequence[VoiceMatch]) -> Transcript:
    """Return a transcript with names, and statistics. Names by label come before known voices. Pure."""
    names = {label: " ".join(name.split()) for label, name in names.items()}
    by_label = [NamedSpeaker(label=label, name=names[label]) for label in transcript.speakers if label in names]
    by_voice = [
        NamedSpeaker(label=match.label, name=match.name, similarity=match.similarity)
        for match in matches
        if match.label not in names and match.name not in names.values()
    ]
    found = tuple(sorted((*by_label, *by_voice), key=lambda one: one.label))
    if found:
        transcript = with_names(transcript, {one.label: one.name for one in found})
        transcript = msgspec.structs.replace(transcript, named_speakers=found)
    return with_statistics(transcript)
