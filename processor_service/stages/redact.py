"""Redacts the results of a job before they are stored: the transcript, and copies of the audio if the job wants them.

What clients must not get any more is deleted after the job has ended. Until then an attempt may need it again.
"""

import asyncio
from pathlib import Path
from typing import NamedTuple

import msgspec

from processor_service.compute.messages import AudioRedacted, RedactAudio
from processor_service.stages import time_limits
from processor_service.stages.final_transcript import store_peaks, store_results, without_words
from processor_service.stages.work import Work
from processor_service.tasks.claim import ClaimedTask
from shared.blobs import blob_keys
from shared.schemas.transcript import ResultWarning, Transcript, WarningCode

ROUGH = ResultWarning(
    code=WarningCode.REDACTION_ROUGH,
    message="Some words to redact have no times: the audio of their whole segments is redacted.",
)


async def redact_and_store(work: Work, transcript: Transcript, denoised: Path | None) -> Transcript:
    """Store the results as the options want them, and return the transcript that is served."""
    options = work.task.options
    if not options.changes_text:
        await store_results(work, transcript, denoised)
        return transcript
    from processor_service.redaction.apply import redacted  # the tables of phone numbers take time to import

    result = await asyncio.to_thread(redacted, transcript, options)
    if options.redact_keep_original:
        original = transcript if options.word_timestamps else without_words(transcript)
        key = blob_keys.original_transcript(work.task.job_id, work.task.generation)
        await work.put(key, msgspec.json.encode(original))
    served = result.transcript
    if options.has_redacted_audio:
        denoised = await _redact_audio(work, result.spans, denoised, duration_s=transcript.duration)
        if result.is_rough:
            served = msgspec.structs.replace(served, warnings=(*served.warnings, ROUGH))
    served = served if options.word_timestamps else without_words(served)
    await store_results(work, served, denoised)
    return served


async def _redact_audio(
    work: Work, spans: tuple[tuple[float, float], ...], denoised: Path | None, *, duration_s: float
) -> Path | None:
    """Store the redacted copy of the source with its peaks. Return the redacted denoised file, if there is one."""
    task = work.task
    folder = work.scratch / "redacted"
    folder.mkdir()
    copies = _Copies(folder / "redacted.flac", folder / "denoised.flac" if denoised else None)
    request = RedactAudio(
        source_path=str(await work.local_file(blob_keys.source(task.job_id), "source")),
        out_path=str(copies.audio),
        spans=spans,
        with_tone=task.options.redact_audio == "tone",
        max_audio_s=work.settings.max_audio_seconds,
        track=task.options.track,
        denoised_path=str(denoised) if denoised else None,
        denoised_out_path=str(copies.denoised) if copies.denoised else None,
        denoised_start_s=task.options.part.start_s,
    )
    time_limit = time_limits.joining(work.settings, audio_s=2 * duration_s)
    reply = await work.ask(request, AudioRedacted, time_limit=time_limit, span=None)
    await work.put(blob_keys.redacted_audio(task.job_id, task.generation), copies.audio)
    await store_peaks(work, reply.peaks, task.chunk_generation)
    return copies.denoised


class _Copies(NamedTuple):
    audio: Path
    denoised: Path | None


def is_original(task: ClaimedTask) -> bool:
    """Whether a task reads the uploaded audio. The speakers of redacted audio are found again in its copy."""
    return task.text_generation is None or not task.options.has_redacted_audio


def source_key(task: ClaimedTask) -> str:
    """Return the key of the audio that a task decodes."""
    if task.text_generation is None or is_original(task):
        return blob_keys.source(task.job_id)
    return blob_keys.redacted_audio(task.job_id, task.text_generation)


def originals_of(task: ClaimedTask) -> tuple[str, ...]:
    """Return the keys of what clients must not get any more when the job is COMPLETED."""
    options = task.options
    is_replaced = options.has_redacted_audio and not options.redact_keep_original
    return (blob_keys.source(task.job_id),) if is_replaced else ()
