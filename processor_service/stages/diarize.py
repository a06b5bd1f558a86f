"""Finds the speakers of a finished job again: labels the text that an earlier generation transcribed.

The job passes the same tasks as a new one, without transcribing and denoising.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from processor_service.diarization.weights import find_weights
from processor_service.errors import PermanentError
from processor_service.stages.final_transcript import segments_of_turns, store_results
from processor_service.stages.speakers import label_speakers, name_speakers
from processor_service.stages.work import Work
from processor_service.tasks.outcomes import JobDone
from shared.blobs import blob_keys
from shared.schemas.failures import FailureCode
from shared.schemas.transcript import Segment, Transcript, WarningCode

OF_SPEAKERS = {WarningCode.DIARIZATION_UNAVAILABLE, WarningCode.KNOWN_SPEAKER_SKIPPED}


def require_nets(work: Work) -> None:
    """Raise PermanentError if speakers are all that is wanted and cannot be found.

    A job whose speakers are found again keeps the transcript that it has.
    """
    is_needed = work.task.text_generation is not None or work.task.options.diarize_only
    if is_needed and find_weights(work.models.folder) is None:
        message = "Diarization is not installed on this server."
        raise PermanentError(FailureCode.MODEL_UNAVAILABLE, message)


async def label_again(work: Work, text_generation: int, voices: Sequence[Path | None]) -> JobDone:
    """Store the text of a generation with the speakers of these voices."""
    key = blob_keys.transcript(work.task.job_id, text_generation)
    before = msgspec.json.decode(await work.blobs.get(key), type=Transcript)
    labelled = await label_speakers(work, [without_speakers(before)], voices)
    (transcript,) = labelled.transcripts
    if work.task.options.diarize_only:
        transcript = msgspec.structs.replace(transcript, segments=segments_of_turns(labelled.turns))
    transcript = msgspec.structs.replace(
        transcript,
        speakers=tuple(sorted({turn.speaker for turn in labelled.turns})),
        turns=labelled.turns,
        warnings=(*transcript.warnings, *labelled.warnings),
    )
    transcript = await name_speakers(work, transcript, labelled.matches)
    await store_results(work, transcript, None)
    return JobDone(transcript.warnings, speakers=len(transcript.speakers))


def without_speakers(transcript: Transcript) -> Transcript:
    """The transcript as if speakers had not been requested."""
    unlabelled = msgspec.structs.replace(
        transcript,
        segments=tuple(map(_unlabelled, transcript.segments)),
        speakers=(),
        turns=(),
        warnings=tuple(one for one in transcript.warnings if one.code not in OF_SPEAKERS),
        named_speakers=msgspec.UNSET,
        speaker_statistics=msgspec.UNSET,
    )
    if transcript.action_items is msgspec.UNSET:
        return unlabelled
    items = tuple(
        msgspec.structs.replace(one, owner=None) if one.owner in transcript.speakers else one
        for one in transcript.action_items
    )
    return msgspec.structs.replace(unlabelled, action_items=items)


def _unlabelled(segment: Segment) -> Segment:
    words = tuple(msgspec.structs.replace(word, speaker=None) for word in segment.words)
    return msgspec.structs.replace(segment, speaker=None, words=words)
