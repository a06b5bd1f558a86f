"""Find the blobs of a job for its client: audio, transcript and peaks."""

import re
from contextlib import suppress
from typing import Literal

import msgspec

from ingest_service.errors import RefusedError
from ingest_service.jobs.download_names import audio_name, result_name
from ingest_service.jobs.media_types import MEDIA_TYPES, UNKNOWN_TYPE
from ingest_service.jobs.queries import JobResults
from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobNotFoundError
from shared.blobs.blob_facts import BlobVersion
from shared.blobs.blob_store import BlobStore
from shared.schemas.peaks import PeakLevel
from shared.schemas.states import JobStatus

Variant = Literal["original", "denoised"]

REDACTED = "redacted.flac"  # the end of a file name

NOT_READY = {JobStatus.FAILED: "job_failed", JobStatus.CANCELLED: "job_cancelled"}


class AudioBlob(msgspec.Struct, frozen=True, kw_only=True):
    """An existing audio blob, with its media type and file name."""

    version: BlobVersion
    media_type: str
    filename: str

    @property
    def key(self) -> str:
        return self.version.key

    @property
    def size(self) -> int:
        """The length in bytes."""
        return self.version.size


async def find_audio(blobs: BlobStore, job: JobResults, variant: Variant, *, redacted: bool = True) -> AudioBlob:
    """Return a job's audio. Raise RefusedError `audio_erased`, `no_denoised_audio`, `not_ready`, …; BlobStoreError.

    `redacted`: the copy without personal data, if the job has one.
    """
    if job.audio_is_erased:
        raise RefusedError("audio_erased", "The audio of this job was deleted by the retention policy.")
    if variant == "denoised":
        return await _find_denoised(blobs, job)
    if redacted and job.options.has_redacted_audio:
        return await _find_redacted(blobs, job)
    if job.container is None:
        raise RefusedError(
            NOT_READY.get(job.status, "not_ready"), "The audio was not fetched from its URL yet. Try again later."
        )
    media_type, extension = MEDIA_TYPES.get(job.container, UNKNOWN_TYPE)
    key = blob_keys.source(job.job_id)
    try:
        version = await blobs.version(key)
    except BlobNotFoundError:
        raise RefusedError("not_found", "The audio of this job is no longer stored.") from None
    return AudioBlob(version=version, media_type=media_type, filename=audio_name(job.filename, job.job_id, extension))


async def _find_denoised(blobs: BlobStore, job: JobResults) -> AudioBlob:
    if not job.options.denoise:
        raise RefusedError(
            "no_denoised_audio", "This job was submitted with `denoise=false`. Submit the audio with `denoise=true`."
        )
    require_results(job)
    key = blob_keys.denoised(job.job_id, job.text_generation)
    try:
        version = await blobs.version(key)
    except BlobNotFoundError:
        raise RefusedError("no_denoised_audio", "This job has no denoised audio.") from None
    filename = result_name(job.filename, job.job_id, "denoised.flac")
    return AudioBlob(version=version, media_type="audio/flac", filename=filename)


async def _find_redacted(blobs: BlobStore, job: JobResults) -> AudioBlob:
    require_results(job)
    try:
        version = await blobs.version(blob_keys.redacted_audio(job.job_id, job.text_generation))
    except BlobNotFoundError:
        raise RefusedError("not_found", "The audio of this job is no longer stored.") from None
    return AudioBlob(version=version, media_type="audio/flac", filename=result_name(job.filename, job.job_id, REDACTED))


async def find_transcript(blobs: BlobStore, job: JobResults, *, redacted: bool = True) -> BlobVersion:
    """Return where the JSON of a `Transcript` is. Raise RefusedError `not_ready`, …; BlobStoreError.

    Not `redacted`: as it was before redaction, which keeps the speakers that the job had then.
    """
    generation = require_results(job)
    is_original = job.options.redact_keep_original and not redacted
    key = blob_keys.original_transcript if is_original else blob_keys.transcript
    try:
        return await blobs.version(key(job.job_id, job.text_generation if is_original else generation))
    except BlobNotFoundError:
        raise RefusedError("not_found", "The transcript of this job is no longer stored.") from None


async def find_peaks(blobs: BlobStore, job: JobResults, level: PeakLevel) -> BlobVersion:
    """Return where the JSON of `Peaks` is. Raise RefusedError `no_peaks`, `not_ready`, …; BlobStoreError."""
    if job.peaks_generation is None:
        if job.results_generation is not None:
            raise RefusedError("no_peaks", "The job is of a version of the service that computed no peaks.")
        when = " It has them when its audio is decoded." if job.status not in NOT_READY else ""
        raise RefusedError(NOT_READY.get(job.status, "not_ready"), f"The job is {job.status} and has no peaks.{when}")
    if level == "overview":
        with suppress(BlobNotFoundError):  # a file of up to an hour has none
            return await blobs.version(blob_keys.peaks_overview(job.job_id, job.peaks_generation))
    try:
        return await blobs.version(blob_keys.peaks(job.job_id, job.peaks_generation))
    except BlobNotFoundError:
        raise RefusedError("no_peaks", "The peaks of this job are no longer stored.") from None


def require_results(job: JobResults) -> int:
    """Return the generation whose results are served. Raise RefusedError if there are none yet."""
    if job.results_generation is not None:
        return job.results_generation
    why = f": {job.error_message}" if job.status is JobStatus.FAILED and job.error_message else "."
    when = " It has a transcript when it is COMPLETED." if job.status not in NOT_READY else ""
    raise RefusedError(NOT_READY.get(job.status, "not_ready"), f"The job is {job.status}{why}{when}")


ONE_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII)


class RangeNotSatisfiableError(RefusedError):
    """The range begins after the end. The answer names the size."""

    def __init__(self, size: int) -> None:
        super().__init__(
            "range_not_satisfiable", f"The audio has {size} bytes. Ask for a range that starts before its end."
        )
        self.size = size


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Parse a Range header (RFC 9110 section 14). Return `(start, end)`, end exclusive, or None for the whole blob.

    Several ranges and invalid headers also return None. Raise RangeNotSatisfiableError if the range has no bytes.
    """
    match = ONE_RANGE.fullmatch(header or "")
    if not match or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first and last and int(first) > int(last):
        return None  # invalid; the RFC says to ignore it
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1, size) if first and last else size
    if start >= size:
        raise RangeNotSatisfiableError(size)
    return start, end
