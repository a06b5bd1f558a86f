"""Collects parts of resumable uploads that count for nothing: written by a process that was killed, or lost its lease.

A part counts when it is in the record; until then it may be on its way there, but only from the last that held the
upload. Young ones are left alone all the same. One walk through the store's uploads a turn, a page at a time.
"""

from collections.abc import Sequence

import asyncpg

from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.queue.dispatch import Dispatch
from shared.telemetry.logs import Log

log = Log(__name__)

WANTED = """
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
    wanted = {row["key"] for row in await connection.fetch(WANTED, *columns)}
    return [key for key, *_ in parts if key not in wanted]
