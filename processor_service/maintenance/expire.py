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
TOMBSTONE_S = 7 * 24 * 3600  # for so long a client that returns learns that its upload is gone

# The rows that each statement is for; `watch.py` asks whether there are any.
NOT_HELD = "(lease_expires_at IS NULL OR lease_expires_at < now())"
EXPIRED = f"expires_at < now() AND completed_at IS NULL AND ended_at IS NULL AND {NOT_HELD}"
UNCLEARED = f"parts_removed_at IS NULL AND (ended_at IS NOT NULL OR completed_at IS NOT NULL) AND {NOT_HELD}"
FORGOTTEN = f"""parts_removed_at IS NOT NULL
    AND expires_at < now() - CASE WHEN completed_at IS NULL THEN interval '{TOMBSTONE_S} s' ELSE interval '0' END"""

# The new lease token rejects the writes of a process that held the upload and froze.
EXPIRE = f"""
UPDATE uploads SET ended_at = now(), lease_token = lease_token + 1, options = NULL, filename = NULL, metadata = NULL
WHERE id IN (SELECT id FROM uploads WHERE {EXPIRED} ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)
"""  # noqa: S608 - constants

TO_CLEAR = f"SELECT id FROM uploads WHERE {UNCLEARED} ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED"  # noqa: S608 - a constant
FORGET_PARTS = "DELETE FROM upload_parts WHERE upload_id = ANY($1::uuid[])"
ARE_CLEARED = "UPDATE uploads SET parts_removed_at = now() WHERE id = ANY($1::uuid[])"

FORGET = f"""
DELETE FROM uploads WHERE id IN (
    SELECT id FROM uploads WHERE {FORGOTTEN} ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)
"""  # noqa: S608 - constants

KEPT_CLAIM_S = 3600  # an expired claim can be taken over at once; its own process may only be frozen

EXPIRED_KEYS = f"""expires_at < now()
    AND (job_id IS NOT NULL OR expires_at < now() - interval '{KEPT_CLAIM_S} s')"""
FORGET_KEYS = f"""
DELETE FROM idempotency_keys WHERE (tenant, key) IN (
    SELECT tenant, key FROM idempotency_keys WHERE {EXPIRED_KEYS}
    ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)
"""  # noqa: S608 - constants

ENDED_SESSIONS = "expires_at < now()"
FORGET_SESSIONS = f"""
DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE {ENDED_SESSIONS} ORDER BY expires_at LIMIT $1)
"""  # noqa: S608 - constants

# Headers are erased when their source is fetched or their job ends. A version before this one only ends the job.
UNNEEDED_HEADERS = """NOT EXISTS (
    SELECT FROM jobs j
    WHERE j.id = source_headers.job_id AND j.status IN ('QUEUED', 'PROCESSING') AND j.source_sha256 IS NULL)"""
FORGET_SOURCE_HEADERS = f"DELETE FROM source_headers WHERE {UNNEEDED_HEADERS}"  # noqa: S608 - constants

# Folds a day only when no transaction that began in it can still run: one row for each tenant and day, not one a shard.
UNFOLDED = "day < usage_day() - 1 AND shard > 0"
FOLD_USAGE = f"""
WITH shards AS (
    DELETE FROM tenant_usage WHERE (tenant, day, shard) IN (
        SELECT tenant, day, shard FROM tenant_usage WHERE {UNFOLDED} LIMIT $1)
    RETURNING *
)
INSERT INTO tenant_usage AS folded (tenant, day, shard, uploads, bytes, audio_s)
SELECT tenant, day, 0, sum(uploads), sum(bytes), sum(audio_s) FROM shards GROUP BY tenant, day
ON CONFLICT (tenant, day, shard) DO UPDATE SET uploads = folded.uploads + excluded.uploads,
    bytes = folded.bytes + excluded.bytes, audio_s = folded.audio_s + excluded.audio_s
"""  # noqa: S608 - constants


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
        await connection.execute(FORGET, UPLOADS_A_BATCH)
        if cleared:
            log.info("uploads_cleared", uploads=len(cleared))


async def forget_keys(connection: asyncpg.Connection) -> None:
    """Delete expired idempotency keys, and claims that no process renews."""
    await connection.execute(FORGET_KEYS, ROWS_A_BATCH)


async def forget_sessions(connection: asyncpg.Connection) -> None:
    """Delete one batch of expired sessions."""
    await connection.execute(FORGET_SESSIONS, ROWS_A_BATCH)


async def forget_source_headers(connection: asyncpg.Connection) -> None:
    """Delete the headers that no fetch needs any more."""
    await connection.execute(FORGET_SOURCE_HEADERS)


async def fold_usage(connection: asyncpg.Connection) -> None:
    """Fold one batch of shards."""
    await connection.execute(FOLD_USAGE, ROWS_A_BATCH)
