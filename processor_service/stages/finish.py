"""Finish: merge the chunks of a long file into one transcript and one denoised file."""

import asyncio
from pathlib import Path

import msgspec

from processor_service.compute.messages import JoinDenoised, Joined
from processor_service.stages import time_limits
from processor_service.stages.diarize import label_again
from processor_service.stages.final_transcript import final_transcript
from processor_service.stages.redact import redact_and_store
from processor_service.stages.speakers import label_speakers, name_speakers
from processor_service.stages.work import Work
from processor_service.tasks.outcomes import JobDone
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobNotFoundError
from shared.schemas.transcript import Transcript


async def finish(work: Work) -> JobDone:
    """Merge, join, store. The chunks are deleted after the job ended."""
    job_id, generation = work.task.job_id, work.task.generation
    await work.open_budget(blob_keys.denoised(job_id, generation), blob_keys.transcript(job_id, generation))
    if work.task.text_generation is not None:
        return await label_again(work, work.task.text_generation, await _voices(work))
    transcripts = [await _chunk_transcript(work, ordinal) for ordinal in range(work.task.chunk_count)]
    duration_s = sum(one.duration for one in transcripts)
    labelled = await label_speakers(work, transcripts, await _voices(work))
    merged = await asyncio.to_thread(
        final_transcript,
        labelled.transcripts,
        work.task.options,
        duration_s=duration_s,
        turns=labelled.turns,
        warnings=(*work.task.warnings, *labelled.warnings),
    )
    merged = await name_speakers(work, merged, labelled.matches)
    merged = await redact_and_store(work, merged, await _join_denoised(work, duration_s))
    return JobDone(merged.warnings, speakers=len(merged.speakers))


async def _chunk_transcript(work: Work, ordinal: int) -> Transcript:
    key = blob_keys.chunk_transcript(work.task.job_id, work.task.chunk_generation, ordinal)
    return msgspec.json.decode(await work.blobs.get(key), type=Transcript)


async def _voices(work: Work) -> list[Path | None]:
    """Return the file of voices of each chunk; empty when the client did not request speakers."""
    if not work.task.options.diarize:
        return []
    return [await _chunk_voices(work, ordinal) for ordinal in range(work.task.chunk_count)]


async def _chunk_voices(work: Work, ordinal: int) -> Path | None:
    key = blob_keys.chunk_voices(work.task.job_id, work.task.chunk_generation, ordinal)
    try:
        return await work.local_file(key, f"{ordinal}.voices")
    except BlobNotFoundError:
        return None


async def _join_denoised(work: Work, duration_s: float) -> Path | None:
    if not work.task.options.denoise:
        return None
    out_path = work.scratch / "denoised.flac"
    paths = [str(await _denoised_chunk(work, ordinal)) for ordinal in range(work.task.chunk_count)]
    request = JoinDenoised(paths=tuple(paths), out_path=str(out_path))
    await work.ask(request, Joined, time_limit=time_limits.joining(work.settings, audio_s=duration_s))
    return out_path


async def _denoised_chunk(work: Work, ordinal: int) -> Path:
    key = blob_keys.chunk_denoised(work.task.job_id, work.task.chunk_generation, ordinal)
    return await work.local_file(key, f"{ordinal}.flac")
