"""Bounds what failed jobs keep: a redrive continues with their chunks, but neither forever nor at any size."""

import datetime as dt
from collections.abc import Iterable, Sequence
from uuid import UUID

import asyncpg
import msgspec

from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.telemetry.logs import Log

log = Log(__name__)

# A redrive of a job without chunks starts from the source. A job that was redriven meanwhile keeps its chunks.
FORGET_CHUNKS = """
UPDATE jobs SET chunk_count = 0, chunks_done = 0, chunk_generation = NULL
WHERE id = $1 AND status = 'FAILED' RETURNING generation
"""


class ChunkBounds(msgspec.Struct, frozen=True, kw_only=True):
    """How long, and how many bytes of, the chunks of failed jobs are kept."""

    kept_s: float = 3 * 24 * 3600.0
    most_bytes: int = 10 << 30


class KeptChunks(msgspec.Struct, frozen=True):
    """The chunks of a failed job."""

    job_id: UUID
    failed_at: dt.datetime
    bytes: int


def encode_kept(kept: Iterable[KeptChunks]) -> str:
    """Return the JSON that `decode_kept` reads."""
    return msgspec.json.encode(list(kept)).decode()


def decode_kept(text: str) -> dict[UUID, KeptChunks]:
    """Return the chunks that a pass has found so far, by job."""
    return {one.job_id: one for one in msgspec.json.decode(text, type=list[KeptChunks])}


def beyond_bounds(kept: Iterable[KeptChunks], *, since: dt.datetime, most_bytes: int) -> list[UUID]:
    """Return the jobs whose chunks to delete: failed before `since`, or the oldest of more than `most_bytes`."""
    beyond, total = [], 0
    for one in sorted(kept, key=lambda one: one.failed_at, reverse=True):
        total += one.bytes
        if one.failed_at < since or total > most_bytes:
            beyond.append(one.job_id)
    return beyond


async def forget_chunks(pool: asyncpg.Pool, blobs: BlobStore, job_ids: Sequence[UUID]) -> None:
    """Delete the chunks of failed jobs, after the commit that makes a redrive start from the source."""
    forgotten = 0
    for job_id in job_ids:
        generation = await pool.fetchval(FORGET_CHUNKS, job_id)
        for number in range(1, (generation or 0) + 1):
            await blobs.delete(blob_keys.chunks(job_id, number))
        forgotten += generation is not None
    if forgotten:
        log.info("chunks_of_failed_jobs_deleted", jobs=forgotten)
