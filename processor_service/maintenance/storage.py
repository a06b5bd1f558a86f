"""Collects blobs that nobody will ask for: of uploads never recorded, of erased jobs, and the chunks of ended jobs.

A process that is killed between storing and committing leaves such. Young blobs are left alone: their commit may be on
its way. An old one's job is recorded here, as erased, before its blobs go: should its commit come after all, from a
process that was frozen for so long, it finds the id taken. One walk through the store a turn, a page at a time.
"""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.queue.dispatch import Dispatch
from shared.telemetry.logs import Log

log = Log(__name__)


# Collects parts of resumable uploads that count for nothing: written by a process that was killed, or lost its lease.
#
# A part counts when it is in the record; until then it may be on its way there, but only from the last that held the
# upload. Young ones are left alone all the same. One walk through the store's uploads a turn, a page at a time.


WANTED_PARTS = """
SELECT blob.key FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[]) AS blob(key, upload_id, start, token)
JOIN uploads u ON u.id = blob.upload_id AND u.parts_removed_at IS NULL
WHERE u.lease_token = blob.token OR EXISTS (
    SELECT 1 FROM upload_parts p
    WHERE p.upload_id = u.id AND p.offset_bytes = blob.start AND p.lease_token = blob.token)
"""


class PartCollector:
    """Deletes such parts older than `older_than_s`; dispatches nothing."""

    def __init__(self, blobs: BlobStore, *, older_than_s: float) -> None:
        self._blobs = blobs
        self._older_than_s = older_than_s

    async def __call__(self, connection: asyncpg.Connection) -> list[Dispatch]:
        """Walk through the store once."""
        before = await connection.fetchval("SELECT now() - make_interval(secs => $1)", self._older_than_s)
        collected = 0
        async for page in self._blobs.walk(blob_keys.ALL_UPLOADS):
            unwanted = await _unwanted(connection, [blob.key for blob in page if blob.modified_at < before])
            if unwanted:
                await self._blobs.delete_keys(unwanted)
            collected += len(unwanted)
        if collected:
            log.info("upload_parts_collected", blobs=collected)
        return []


async def _unwanted(connection: asyncpg.Connection, keys: Sequence[str]) -> list[str]:
    parts = [(key, *part) for key in keys if (part := blob_keys.upload_part_of(key))]
    columns = [list(column) for column in zip(*parts, strict=True)] or [[], [], [], []]
    wanted = {row["key"] for row in await connection.fetch(WANTED_PARTS, *columns)}
    return [key for key, *_ in parts if key not in wanted]


# Collects what clients put into the bucket by themselves and made no job of, and what is left of what they did.
#
# By age alone: whatever lies there for more than a day belongs to an upload that can become no job any more, since
# nothing is put before its upload is recorded. One walk through the store's direct uploads a turn, a page at a time.

BATCH = 5000
MARGIN_S = 3600.0  # for a bucket's clock that is behind, and a job that is being made

FORGET = """
DELETE FROM direct_uploads WHERE id IN (
    SELECT id FROM direct_uploads WHERE created_at < now() - make_interval(secs => $1)
    ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)
"""


class DirectCollector:
    """Deletes and forgets what is older than `older_than_s`; dispatches nothing."""

    def __init__(self, blobs: BlobStore, *, older_than_s: float = blob_keys.DIRECT_KEPT_S + MARGIN_S) -> None:
        self._blobs = blobs
        self._older_than_s = older_than_s

    async def __call__(self, connection: asyncpg.Connection) -> list[Dispatch]:
        """Walk through the store once."""
        before = await connection.fetchval("SELECT now() - make_interval(secs => $1)", self._older_than_s)
        collected = 0
        async for page in self._blobs.walk(blob_keys.ALL_DIRECT):
            old = [blob.key for blob in page if blob.modified_at < before]
            if old:
                await self._blobs.delete_keys(old)
            collected += len(old)
        await connection.execute(FORGET, self._older_than_s, BATCH)
        if collected:
            log.info("direct_uploads_collected", blobs=collected)
        return []


# A FAILED job keeps its chunks: redrive goes on with them.
WANTED = """
SELECT id, status IN ('QUEUED', 'PROCESSING', 'FAILED') AS wants_chunks FROM jobs
WHERE id = ANY($1::uuid[]) AND blobs_erased_at IS NULL
"""

# Waits for an upload that is being committed, as long as the lock may take, and then leaves it alone.
TAKE_ID = """
INSERT INTO jobs (id, status, options, container, source_bytes, source_sha256, completed_at, erased_at, blobs_erased_at)
VALUES ($1, 'CANCELLED', '{}', '', 0, '', now(), now(), now())
ON CONFLICT DO NOTHING
"""

IS_ERASED = "SELECT 1 FROM jobs WHERE id = $1 AND blobs_erased_at IS NOT NULL"

LOCK_TIMEOUT = "SET LOCAL lock_timeout = '1s'"


class OrphanCollector:
    """Deletes orphans older than `older_than_s`; dispatches nothing."""

    def __init__(self, pool: asyncpg.Pool, blobs: BlobStore, *, older_than_s: float) -> None:
        self._pool = pool
        self._blobs = blobs
        self._older_than_s = older_than_s

    async def __call__(self, connection: asyncpg.Connection) -> list[Dispatch]:
        """Walk through the store once."""
        before = await connection.fetchval("SELECT now() - make_interval(secs => $1)", self._older_than_s)
        swept = await asyncio.to_thread(self._blobs.sweep_partial, before=before)
        orphans = 0
        async for page in self._blobs.walk(blob_keys.ALL_JOBS):
            old = [blob.key for blob in page if blob.modified_at < before]
            unwanted = await self._unwanted(connection, old)
            if unwanted:
                await self._blobs.delete_keys(unwanted)
            orphans += len(unwanted)
        if swept or orphans:
            log.info("orphans_collected", blobs=orphans, partial_uploads=swept)
        return []

    async def _unwanted(self, connection: asyncpg.Connection, keys: Sequence[str]) -> list[str]:
        owners = {key: blob_keys.job_of(key) for key in keys}
        ids = {job_id for job_id in owners.values() if job_id}
        wants_chunks = {row["id"]: row["wants_chunks"] for row in await connection.fetch(WANTED, list(ids))}
        nobodys = {job_id for job_id in ids - wants_chunks.keys() if await self._is_nobodys(job_id)}
        return [
            key
            for key, job_id in owners.items()
            if job_id in nobodys or (blob_keys.is_of_chunk(key) and not wants_chunks.get(job_id, True))
        ]

    async def _is_nobodys(self, job_id: UUID) -> bool:
        """Whether its id is ours now: committed, on a connection of its own, before any blob is deleted."""
        async with self._pool.acquire() as connection:
            try:
                async with connection.transaction():
                    await connection.execute(LOCK_TIMEOUT)
                    await connection.execute(TAKE_ID, job_id)
            except asyncpg.LockNotAvailableError:
                return False
            return bool(await connection.fetchval(IS_ERASED, job_id))
