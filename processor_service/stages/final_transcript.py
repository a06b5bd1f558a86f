"""Merges the transcripts of all chunks into the final transcript with its warnings, and stores the results of a job."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from processor_service.stages.work import Work
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
    """Merge the chunks in order. The job's warnings come before theirs. Empty text always has a warning."""
    merged = merge_transcripts(chunks, duration_s=duration_s)
    if options.detect_language_only:
        more = () if merged.language else (NO_SPEECH,)
        return msgspec.structs.replace(merged, text="", segments=(), warnings=(*warnings, *more))
    reasons = text_warnings(merged.segments) if merged.text else (NO_SPEECH,)
    segments = merged.segments if options.word_timestamps else tuple(map(_without_words, merged.segments))
    speakers = {segment.speaker for segment in segments if segment.speaker} | {turn.speaker for turn in turns}
    return msgspec.structs.replace(
        merged,
        segments=segments,
        speakers=tuple(sorted(speakers)),
        turns=turns,
        warnings=(*warnings, *merged.warnings, *reasons),
    )


def _without_words(segment: Segment) -> Segment:
    return msgspec.structs.replace(segment, words=())


async def store_results(work: Work, transcript: Transcript, denoised: Path | None) -> None:
    """Store the denoised audio, if any, and then the transcript. The job ends only after both are stored."""
    job_id, generation = work.task.job_id, work.task.generation
    failpoint("results.before_denoised")
    if denoised:
        await work.put(blob_keys.denoised(job_id, generation), denoised)
    failpoint("results.before_transcript")
    await work.put(blob_keys.transcript(job_id, generation), msgspec.json.encode(transcript))
    failpoint("results.after_transcript")
