"""Deletes the blobs of many jobs in few requests, for both services.

A job's keys follow from its row if one attempt made all of its blobs; otherwise the store lists them. A key without a
blob is left out where the row says so: to find that it is missing costs some stores as much as to delete it.
"""

import asyncio
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from shared.blobs import blob_keys
from shared.blobs.blob_errors import BlobStoreError
from shared.blobs.blob_store import BlobStore

T = TypeVar("T")

KEYS_A_REQUEST = 1000  # the most that S3 takes
REQUESTS_AT_ONCE = 8  # at 50 ms each they delete 160,000 keys a second; S3 takes 3,500 requests a second of a prefix
MARGIN_S = 60.0  # of a duration
KNOWN_CHUNKS = 50  # of a job with more, a listing costs less than the keys that it may not have

# The fields of JobBlobs. The chunks are null unless each task that stores was dispatched once: another attempt, perhaps
# one with other settings, may have stored other chunks. A summarize task may have left its progress, a redacted job
# more blobs. The duration of a part does not say how long the waveform is.
JOB_BLOBS = f"""id AS job_id, CASE WHEN status = 'COMPLETED' AND generation = 1 AND options ->> 'redact' IS NULL AND (
    SELECT max(CASE kind WHEN 'summarize' THEN 2 ELSE dispatch_no END)
    FROM tasks WHERE job_id = jobs.id AND kind <> 'deliver') = 1 THEN chunk_count END AS chunks,
    coalesce((options ->> 'denoise')::boolean, true) AS is_denoised,
    peaks_generation IS NOT NULL AS has_peaks,
    (duration_s < {blob_keys.OVERVIEW_FROM_S - MARGIN_S} AND options ->> 'start' IS NULL AND options ->> 'end' IS NULL)
        IS NOT TRUE AS has_overview"""  # noqa: S608 - a constant


class JobBlobs(NamedTuple):
    """A job, how many chunks it had (None: its keys are not known), and what other blobs it may have."""

    job_id: UUID
    chunks: int | None = None
    is_denoised: bool = True
    has_peaks: bool = True
    has_overview: bool = True  # of its peaks

    @property
    def keys(self) -> Iterator[str]:
        """Every key that the job may have, if they are known."""
        return blob_keys.all_of_job(
            self.job_id,
            chunks=self.chunks or 0,
            is_denoised=self.is_denoised,
            has_peaks=self.has_peaks,
            has_overview=self.has_overview,
        )


def job_blobs(row: Mapping[str, Any]) -> JobBlobs:
    """Return the blobs of a row with JOB_BLOBS."""
    return JobBlobs(*(row[name] for name in JobBlobs._fields))


class Owned(NamedTuple):
    """A key and its job."""

    key: str
    job_id: UUID


Left = dict[UUID, BlobStoreError]  # the jobs that have blobs left, and why


async def erase_blobs(blobs: BlobStore, jobs: Sequence[JobBlobs], *, until_s: float) -> Left:
    """Delete all blobs of these jobs.

    `until_s`: in the loop's time; no request starts after it. Raises BlobStoreError while the store is unavailable.
    """
    known = [job for job in jobs if job.chunks is not None and job.chunks <= KNOWN_CHUNKS]
    keys = [Owned(key, job.job_id) for job in known for key in job.keys]
    left = await delete_each(blobs, keys, until_s=until_s)
    unknown = [job.job_id for job in jobs if job.chunks is None or job.chunks > KNOWN_CHUNKS]
    for some in _batches(unknown, REQUESTS_AT_ONCE):
        for each in await _all_of([_list_and_delete(blobs, job_id, until_s) for job_id in some]):
            left |= each
    return left


async def delete_each(blobs: BlobStore, keys: Sequence[Owned], *, until_s: float) -> Left:
    """Delete blobs. A key that cannot be deleted does not keep the others. Arguments and errors: see `erase_blobs`."""
    left: Left = {}
    for batches in _batches(list(_batches(keys, KEYS_A_REQUEST)), REQUESTS_AT_ONCE):
        for each in await _all_of([_delete(blobs, batch, until_s) for batch in batches]):
            left |= each
    return left


async def _delete(blobs: BlobStore, keys: Sequence[Owned], until_s: float) -> Left:
    """Delete a batch; a batch that fails, by halves."""
    if _now_s() >= until_s:
        return {one.job_id: BlobStoreError("no time was left") for one in keys}
    try:
        await blobs.delete_keys([one.key for one in keys])
    except BlobStoreError as error:
        await blobs.check()  # raises in an outage, in which the halves would fail as well
        if len(keys) == 1:
            return {keys[0].job_id: error}
    else:
        return {}
    middle = len(keys) // 2
    return await _delete(blobs, keys[:middle], until_s) | await _delete(blobs, keys[middle:], until_s)


async def _list_and_delete(blobs: BlobStore, job_id: UUID, until_s: float) -> Left:
    left = await _delete(blobs, [Owned(blob_keys.source(job_id), job_id)], until_s)
    if left:
        return left
    async for page in blobs.walk(blob_keys.job(job_id)):
        for keys in _batches([Owned(blob.key, job_id) for blob in page], KEYS_A_REQUEST):
            left |= await _delete(blobs, keys, until_s)
    return left


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


async def _all_of(steps: Sequence[Awaitable[T]]) -> list[T]:
    """Run steps at once. Raise the first error when all have ended."""
    results = await asyncio.gather(*steps, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]
