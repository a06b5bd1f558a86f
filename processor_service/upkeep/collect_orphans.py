"""Collects blobs that nobody will ask for: of uploads never recorded, of erased jobs, and the chunks of ended jobs.

A process that is killed between storing and committing leaves such. Young blobs are left alone: their commit may be on
its way. One walk through the store a turn, a page at a time.
"""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from shared import blob_keys
from shared.blob_store import BlobStore
from shared.logs import Log
from shared.messages import Dispatch

log = Log(__name__)

# A FAILED job keeps its chunks: redrive goes on with them.
WANTED = """
SELECT id, status IN ('QUEUED', 'PROCESSING', 'FAILED') AS wants_chunks FROM jobs
WHERE id = ANY($1::uuid[]) AND blobs_erased_at IS NULL
"""


class OrphanCollector:
    """Deletes orphans older than `older_than_s`; dispatches nothing."""

    def __init__(self, blobs: BlobStore, *, older_than_s: float) -> None:
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
        ids = [job_id for job_id in set(owners.values()) if job_id]
        wanted = {row["id"]: row["wants_chunks"] for row in await connection.fetch(WANTED, ids)}
        return [key for key, job_id in owners.items() if job_id and _is_unwanted(key, job_id, wanted)]


def _is_unwanted(key: str, job_id: UUID, wanted: dict[UUID, bool]) -> bool:
    """`wanted`: the jobs that exist, and whether they still want their chunks."""
    if job_id not in wanted:
        return True
    return blob_keys.is_of_chunk(key) and not wanted[job_id]
