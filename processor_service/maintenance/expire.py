"""Expires abandoned resumable uploads, idempotency keys and sessions, and folds the usage of past days.

The ingest deletes the parts of completed and terminated uploads; this module deletes what the ingest could not. An
upload that a process works on never expires.
"""

import asyncpg

from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.telemetry.logs import Log

log = Log(__name__)

ROWS_A_BATCH = 5000
UPLOADS_A_BATCH = 100
TOMBSTONE_S = 7 * 24 * 3600.0  # for so long a client that returns learns that its upload is gone

# The new lease token rejects the writes of a process that held the upload and froze.
EXPIRE = """
UPDATE uploads SET ended_at = now(), lease_token = lease_token + 1, options = NULL, filename = NULL, metadata = NULL
WHERE id IN (
    SELECT id FROM uploads
    WHERE expires_at < now() AND completed_at IS NULL AND ended_at IS NULL
        AND (lease_expires_at IS NULL OR lease_expires_at < now())
    ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
"""

TO_CLEAR = """
SELECT id FROM uploads
WHERE parts_removed_at IS NULL AND (ended_at IS NOT NULL OR completed_at IS NOT NULL)
    AND (lease_expires_at IS NULL OR lease_expires_at < now())
ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
"""
FORGET_PARTS = "DELETE FROM upload_parts WHERE upload_id = ANY($1::uuid[])"
ARE_CLEARED = "UPDATE uploads SET parts_removed_at = now() WHERE id = ANY($1::uuid[])"

FORGET = """
DELETE FROM uploads WHERE id IN (
    SELECT id FROM uploads
    WHERE parts_removed_at IS NOT NULL
        AND expires_at < now() - CASE WHEN completed_at IS NULL THEN make_interval(secs => $1) ELSE interval '0' END
    ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
"""

KEPT_CLAIM_S = 3600  # an expired claim can be taken over at once; its own process may only be frozen

FORGET_KEYS = """
DELETE FROM idempotency_keys WHERE (tenant, key) IN (
    SELECT tenant, key FROM idempotency_keys
    WHERE expires_at < now() AND (job_id IS NOT NULL OR expires_at < now() - make_interval(secs => $1))
    ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)
"""

FORGET_SESSIONS = """
DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at < now() ORDER BY expires_at LIMIT $1)
"""

# Headers are erased when their source is fetched or their job ends. A version before this one only ends the job.
FORGET_SOURCE_HEADERS = """
DELETE FROM source_headers AS kept WHERE NOT EXISTS (
    SELECT FROM jobs WHERE id = kept.job_id AND status IN ('QUEUED', 'PROCESSING') AND source_sha256 IS NULL)
"""

# Folds a day only when no transaction that began in it can still run: one row for each tenant and day, not one a shard.
FOLD_USAGE = """
WITH shards AS (
    DELETE FROM tenant_usage WHERE (tenant, day, shard) IN (
        SELECT tenant, day, shard FROM tenant_usage WHERE day < usage_day() - 1 AND shard > 0 LIMIT $1)
    RETURNING *
)
INSERT INTO tenant_usage AS folded (tenant, day, shard, uploads, bytes, audio_s)
SELECT tenant, day, 0, sum(uploads), sum(bytes), sum(audio_s) FROM shards GROUP BY tenant, day
ON CONFLICT (tenant, day, shard) DO UPDATE SET uploads = folded.uploads + excluded.uploads,
    bytes = folded.bytes + excluded.bytes, audio_s = folded.audio_s + excluded.audio_s
"""


class UploadExpirer:
    """`run_once` of the maintenance loop: processes one batch of each kind."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    async def __call__(self, connection: asyncpg.Connection) -> None:
        """Expire uploads, delete the parts of ended ones, delete old rows."""
        await connection.execute(EXPIRE, UPLOADS_A_BATCH)
        cleared = [row["id"] for row in await connection.fetch(TO_CLEAR, UPLOADS_A_BATCH)]
        for upload_id in cleared:
            await self._blobs.delete(blob_keys.upload(upload_id))
        await connection.execute(FORGET_PARTS, cleared)
        await connection.execute(ARE_CLEARED, cleared)
        await connection.execute(FORGET, TOMBSTONE_S, UPLOADS_A_BATCH)
        if cleared:
            log.info("uploads_cleared", uploads=len(cleared))


async def forget_keys(connection: asyncpg.Connection) -> None:
    """Delete expired idempotency keys, and claims that no process renews."""
    await connection.execute(FORGET_KEYS, KEPT_CLAIM_S, ROWS_A_BATCH)


async def forget_sessions(connection: asyncpg.Connection) -> None:
    """Delete one batch of expired sessions."""
    await connection.execute(FORGET_SESSIONS, ROWS_A_BATCH)


async def forget_source_headers(connection: asyncpg.Connection) -> None:
    """Delete the headers that no fetch needs any more."""
    await connection.execute(FORGET_SOURCE_HEADERS)


async def fold_usage(connection: asyncpg.Connection) -> None:
    """Fold one batch of shards."""
    await connection.execute(FOLD_USAGE, ROWS_A_BATCH)
