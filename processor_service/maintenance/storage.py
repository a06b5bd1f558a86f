"""Deletes orphans: blobs of jobs that were never committed or are erased, chunks of ended jobs, parts of dead uploads.

A process that is killed between storing and committing leaves orphans. Each collector looks at its part of the store a
few pages a run (`scan_store.py`), and skips young blobs: their commit may be in progress. An orphan is deleted at the
latest when the second pass after its creation ends.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from uuid import UUID

import asyncpg

from processor_service.maintenance.failed_chunks import (
    ChunkBounds,
    KeptChunks,
    beyond_bounds,
    decode_kept,
    encode_kept,
    forget_chunks,
)
from processor_service.maintenance.scan_store import AGO, Pass, StoreScan
from shared.blobs import blob_keys
from shared.blobs.blob_facts import BlobFacts
from shared.blobs.blob_store import BlobStore
from shared.blobs.local_files import is_partial
from shared.telemetry.logs import Log

log = Log(__name__)

BATCH = 5000
DEFAULT_BOUNDS = ChunkBounds()
MARGIN_S = 3600.0  # for a bucket's clock that is behind, and for a job in creation
DIRECT_AGE_S = blob_keys.DIRECT_KEPT_S + MARGIN_S

FORGET = """
DELETE FROM direct_uploads WHERE id IN (
    SELECT id FROM direct_uploads WHERE created_at < now() - make_interval(secs => $1)
    ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)
"""

# A job needs the chunks of one generation. A FAILED job keeps them while a redrive can continue with them.
# Redacted audio replaces the source when the job is COMPLETED.
WANTED = """
SELECT id, completed_at, status = 'FAILED' AS has_failed, CASE
    WHEN status IN ('QUEUED', 'PROCESSING') OR status = 'FAILED' AND chunk_count > 0 AND audio_erased_at IS NULL
        AND EXISTS (SELECT 1 FROM tasks t WHERE t.job_id = jobs.id AND t.state = 'dead' AND t.dismissed_at IS NULL)
    THEN coalesce(chunk_generation, generation) END AS chunks_of,
    status = 'COMPLETED' AND coalesce(options ->> 'redact_audio', 'none') <> 'none'
        AND coalesce(options ->> 'redact_keep_original', 'false') = 'false' AS is_replaced
FROM jobs WHERE id = ANY($1::uuid[]) AND blobs_erased_at IS NULL
"""

# Takes the id of an uncommitted job before its blobs are deleted: a late commit of a frozen process then fails. The
# lock timeout limits the wait for a commit in progress.
TAKE_ID = """
INSERT INTO jobs (id, status, options, container, source_bytes, source_sha256, completed_at, erased_at, blobs_erased_at)
VALUES ($1, 'CANCELLED', '{}', '', 0, '', now(), now(), now())
ON CONFLICT DO NOTHING
"""

IS_ERASED = "SELECT 1 FROM jobs WHERE id = $1 AND blobs_erased_at IS NOT NULL"

LOCK_TIMEOUT = "SET LOCAL lock_timeout = '1s'"

WANTED_PARTS = """
SELECT blob.key FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[]) AS blob(key, upload_id, start, token)
JOIN uploads u ON u.id = blob.upload_id AND u.parts_removed_at IS NULL
WHERE u.lease_token = blob.token OR EXISTS (
    SELECT 1 FROM upload_parts p
    WHERE p.upload_id = u.id AND p.offset_bytes = blob.start AND p.lease_token = blob.token)
"""


Unwanted = Callable[[Sequence[BlobFacts]], Awaitable[Sequence[str]]]  # which of these blobs to delete


async def _collect(blobs: BlobStore, scan: StoreScan, current: Pass, unwanted_of: Unwanted) -> int:
    """Delete the unwanted blobs of the next pages, and the partial files of killed processes. Return their number."""
    collected = 0
    async for page in scan.pages(current):
        partial_files = [blob.key for blob in page if is_partial(blob.key)]
        whole = [blob for blob in page if not is_partial(blob.key)]
        if unwanted := [*partial_files, *await unwanted_of(whole)]:
            await blobs.delete_keys(unwanted)
            collected += len(unwanted)
    return collected


class OrphanCollector:
    """Deletes orphans of jobs, and chunks of failed jobs beyond the bounds. `scan`: of ALL_JOBS."""

    def __init__(
        self, pool: asyncpg.Pool, blobs: BlobStore, scan: StoreScan, *, failed: ChunkBounds = DEFAULT_BOUNDS
    ) -> None:
        self._pool = pool
        self._blobs = blobs
        self._scan = scan
        self._failed = failed

    async def __call__(self, connection: asyncpg.Connection) -> None:
        """Look at the next pages."""
        if (current := await self._scan.current(connection)) is None:
            return
        kept = decode_kept(current.kept)
        orphans = await _collect(self._blobs, self._scan, current, partial(self._unwanted, connection, kept))
        since = await connection.fetchval(AGO, self._failed.kept_s)
        beyond = beyond_bounds(kept.values(), since=since, most_bytes=self._failed.most_bytes)
        await forget_chunks(self._pool, self._blobs, beyond)
        current.kept = encode_kept(one for one in kept.values() if one.job_id not in beyond)
        await self._scan.keep(connection, current)
        if orphans:
            log.info("orphans_collected", blobs=orphans)

    async def _unwanted(
        self, connection: asyncpg.Connection, kept: dict[UUID, KeptChunks], blobs: Sequence[BlobFacts]
    ) -> list[str]:
        """Return the keys to delete. Add the chunks that failed jobs keep to `kept`."""
        ids = {job_id for blob in blobs if (job_id := blob_keys.job_of(blob.key))}
        jobs = {row["id"]: row for row in await connection.fetch(WANTED, list(ids))}
        unowned = {job_id for job_id in ids - jobs.keys() if await self._take_id(job_id)}
        unwanted = []
        for blob in blobs:
            job_id, generation = blob_keys.job_of(blob.key), blob_keys.chunk_generation_of(blob.key)
            job = jobs.get(job_id)
            if (
                job_id in unowned
                or (job and generation is not None and generation != job["chunks_of"])
                or (job and job["is_replaced"] and blob.key == blob_keys.source(job["id"]))
            ):
                unwanted.append(blob.key)
            elif job and generation is not None and job["has_failed"]:
                before = kept[job["id"]].bytes if job["id"] in kept else 0
                kept[job["id"]] = KeptChunks(job["id"], job["completed_at"], before + blob.size)
        return unwanted

    async def _take_id(self, job_id: UUID) -> bool:
        """Commit the id as an erased job, on a separate connection. Return whether the job is erased."""
        async with self._pool.acquire() as connection:
            try:
                async with connection.transaction():
                    await connection.execute(LOCK_TIMEOUT)
                    await connection.execute(TAKE_ID, job_id)
            except asyncpg.LockNotAvailableError:
                return False
            return bool(await connection.fetchval(IS_ERASED, job_id))


class PartCollector:
    """Deletes parts of resumable uploads that are not recorded. `scan`: of ALL_UPLOADS.

    Only the last process that held the upload may still record a part.
    """

    def __init__(self, blobs: BlobStore, scan: StoreScan) -> None:
        self._blobs = blobs
        self._scan = scan

    async def __call__(self, connection: asyncpg.Connection) -> None:
        """Look at the next pages."""
        if current := await self._scan.current(connection):
            collected = await _collect(self._blobs, self._scan, current, partial(_unwanted, connection))
            await self._scan.keep(connection, current)
            if collected:
                log.info("upload_parts_collected", blobs=collected)


async def _unwanted(connection: asyncpg.Connection, blobs: Sequence[BlobFacts]) -> list[str]:
    parts = [(blob.key, *part) for blob in blobs if (part := blob_keys.upload_part_of(blob.key))]
    columns = [list(column) for column in zip(*parts, strict=True)] or [[], [], [], []]
    wanted = {row["key"] for row in await connection.fetch(WANTED_PARTS, *columns)}
    return [key for key, *_ in parts if key not in wanted]


async def _all(blobs: Sequence[BlobFacts]) -> Sequence[str]:
    return [blob.key for blob in blobs]


class DirectCollector:
    """Deletes old direct uploads to the bucket. `scan`: of ALL_DIRECT.

    Age alone decides: a row precedes every upload, and no job can be made of one older than DIRECT_AGE_S.
    """

    def __init__(self, blobs: BlobStore, scan: StoreScan, *, older_than_s: float = DIRECT_AGE_S) -> None:
        self._blobs = blobs
        self._scan = scan
        self._older_than_s = older_than_s

    async def __call__(self, connection: asyncpg.Connection) -> None:
        """Look at the next pages, and forget old rows."""
        await connection.execute(FORGET, self._older_than_s, BATCH)
        if current := await self._scan.current(connection):
            collected = await _collect(self._blobs, self._scan, current, _all)
            await self._scan.keep(connection, current)
            if collected:
                log.info("direct_uploads_collected", blobs=collected)
