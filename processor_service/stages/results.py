"""Stores the results of a job, the transcript last: the job ends only after both are there."""

from pathlib import Path

import msgspec

from processor_service.stages.work import Work
from shared.blobs import blob_keys
from shared.failpoints import failpoint
from shared.schemas.transcript import Transcript


async def store_results(work: Work, transcript: Transcript, denoised: Path | None) -> None:
    """Put the denoised audio, if any, and the transcript where the API finds them."""
    job_id, generation = work.task.job_id, work.task.generation
    failpoint("results.before_denoised")
    if denoised:
        await work.blobs.put(blob_keys.denoised(job_id, generation), denoised)
    failpoint("results.before_transcript")
    await work.blobs.put(blob_keys.transcript(job_id, generation), msgspec.json.encode(transcript))
    failpoint("results.after_transcript")
