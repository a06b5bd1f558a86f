"""Merges the transcripts of all chunks into the final transcript with its warnings, and stores the results of a job."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec

from processor_service.audio.peaks import PeakFiles
from processor_service.diarization.label_transcript import label_transcript
from processor_service.stages.passages import passages_of
from processor_service.stages.work import Work
from processor_service.transcribers.align_text import align_text
from processor_service.transcribers.merge import merge_transcripts
from processor_service.transcribers.warnings import text_warnings
from shared.blobs import blob_keys
from shared.failpoints import failpoint
from shared.schemas.options import JobOptions
from shared.schemas.transcript import ResultWarning, Segment, Transcript, Turn, WarningCode

NO_SPEECH = ResultWarning(code=WarningCode.NO_SPEECH, message="No speech was found in the audio.")


def final_transcript(
    chunks: Sequence[Transcript],
    options: JobOptions,
    *,
    duration_s: float,
    turns: tuple[Turn, ...] = (),
    warnings: tuple[ResultWarning, ...] = (),
) -> Transcript:
    """Merge the chunks in order. The job's warnings come before theirs. Empty text always has a warning.

    `duration_s` is that of all chunks. A known text is aligned, which takes seconds if it is long.
    """
    merged = merge_transcripts(chunks, duration_s=duration_s, start_s=options.part.start_s)
    if options.detect_language_only:
        more = () if merged.language else (NO_SPEECH,)
        return msgspec.structs.replace(merged, text="", segments=(), warnings=(*warnings, *more))
    if options.diarize_only:
        merged = msgspec.structs.replace(merged, segments=segments_of_turns(turns))
    if options.text and merged.text:
        aligned = align_text(merged, options.text, start_s=options.part.start_s)
        merged = label_transcript(aligned, turns)
    speakers = {segment.speaker for segment in merged.segments if segment.speaker} | {turn.speaker for turn in turns}
    transcript = msgspec.structs.replace(
        merged,
        speakers=tuple(sorted(speakers)),
        turns=turns,
        warnings=(*warnings, *merged.warnings, *_reasons(merged, options)),
    )
    is_whole = options.word_timestamps or options.redact  # what is redacted is found in words
    return transcript if is_whole else without_words(transcript)


def _reasons(merged: Transcript, options: JobOptions) -> tuple[ResultWarning, ...]:
    """Return the warnings about the text. One that the client gave is not judged."""
    if not (merged.segments if options.diarize_only else merged.text):
        return (NO_SPEECH,)
    return () if options.diarize_only or options.text else text_warnings(merged.segments)


def segments_of_turns(turns: Sequence[Turn]) -> tuple[Segment, ...]:
    """Return a segment without text for each turn, for a job that wants its speakers alone."""
    in_order = sorted(turns, key=lambda turn: (turn.start, turn.end))
    return tuple(
        Segment(
            id=number,
            start=turn.start,
            end=turn.end,
            text="",
            speaker=turn.speaker,
            confidence=1.0,
            no_speech_prob=0.0,
        )
        for number, turn in enumerate(in_order)
    )


def without_words(transcript: Transcript) -> Transcript:
    """Return the transcript without words and their times."""
    segments = tuple(msgspec.structs.replace(segment, words=()) for segment in transcript.segments)
    return msgspec.structs.replace(transcript, segments=segments)


async def store_results(work: Work, transcript: Transcript, denoised: Path | None) -> None:
    """Store the denoised audio, if any, and then the transcript. The job ends only after both are stored."""
    job_id, generation = work.task.job_id, work.task.generation
    failpoint("results.before_denoised")
    if denoised:
        await work.put(blob_keys.denoised(job_id, generation), denoised)
    failpoint("results.before_transcript")
    await work.put(blob_keys.transcript(job_id, generation), msgspec.json.encode(transcript))
    failpoint("results.after_transcript")
    if work.task.options.searchable:
        await work.record_passages(await asyncio.to_thread(passages_of, transcript))


async def store_peaks(work: Work, peaks: PeakFiles, generation: int) -> None:
    """Store the peaks of a generation, or replace them."""
    await work.put(blob_keys.peaks(work.task.job_id, generation), Path(peaks.detail_path))
    if peaks.overview_path:
        await work.put(blob_keys.peaks_overview(work.task.job_id, generation), Path(peaks.overview_path))
