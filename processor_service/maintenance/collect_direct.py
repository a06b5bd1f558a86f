"""Collects what clients put into the bucket by themselves and made no job of, and what is left of what they did.

By age alone: whatever lies there for more than a day belongs to an upload that can become no job any more, since
nothing is put before its upload is recorded. One walk through the store's direct uploads a turn, a page at a time.
"""

import asyncpg

from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.queue.dispatch import Dispatch
from shared.telemetry.logs import Log

log = Log(__name__)

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
