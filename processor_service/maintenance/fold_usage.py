"""Folds the usage of days that are over: one row a tenant and day, where each connection had its own."""

import asyncpg

from shared.queue.dispatch import Dispatch

BATCH = 5000

# A day is over when no transaction that began in it can still be under way.
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


async def fold_usage(connection: asyncpg.Connection) -> list[Dispatch]:
    """One turn; dispatches nothing."""
    await connection.execute(FOLD_USAGE, BATCH)
    return []
