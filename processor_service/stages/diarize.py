"""Finds the speakers of a finished job again: labels the text that an earlier generation transcribed.

The job passes the same tasks as a new one, without transcribing and denoising.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from processor_service.diarization.weights import find_weights
from processor_service.errors import PermanentError
from processor_service.stages.final_transcript import store_results
from processor_service.stages.speakers import label_speakers
from processor_service.stages.work import Work
from processor_service.tasks.outcomes import JobDone
from shared.blobs import blob_keys
from shared.schemas.failures import FailureCode
from shared.schemas.transcript import Segment, Transcript, WarningCode


def require_nets(work: Work) -> None:
    """Raise PermanentError if speakers must be found again and cannot: the job keeps the transcript that it has."""
    if work.task.text_generation is not None and find_weights(work.models.folder) is None:
        message = "Diarization is not installed on this server."
        raise PermanentError(FailureCode.MODEL_UNAVAILABLE, message)


async def label_again(work: Work, text_generation: int, voices: Sequence[Path | None]) -> JobDone:
    """Store the text of a generation with the speakers of these voices."""
    key = blob_keys.transcript(work.task.job_id, text_generation)
    before = msgspec.json.decode(await work.blobs.get(key), type=Transcript)
    labelled = await label_speakers(work, [without_speakers(before)], voices)
    (transcript,) = labelled.transcripts
    transcript = msgspec.structs.replace(
        transcript,
        speakers=tuple(sorted({turn.speaker for turn in labelled.turns})),
        turns=labelled.turns,
        warnings=(*transcript.warnings, *labelled.warnings),
    )
    await store_results(work, transcript, None)
    return JobDone(transcript.warnings, speakers=len(transcript.speakers))


def without_speakers(transcript: Transcript) -> Transcript:
    """The transcript as if speakers had not been requested."""
    warnings = (one for one in transcript.warnings if one.code != WarningCode.DIARIZATION_UNAVAILABLE)
    segments = tuple(map(_unlabelled, transcript.segments))
    return msgspec.structs.replace(transcript, segments=segments, speakers=(), turns=(), warnings=tuple(warnings))


def _unlabelled(segment: Segment) -> Segment:
    words = tuple(msgspec.structs.replace(word, speaker=None) for word in segment.words)
    return msgspec.structs.replace(segment, speaker=None, words=words)
