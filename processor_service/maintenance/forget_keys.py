"""Forget: idempotency keys whose answer was kept for long enough, and claims that nobody renews any more."""

import asyncpg

from shared.queue.dispatch import Dispatch

BATCH = 5000
KEPT_CLAIM_S = 3600  # one that ended can be taken over at once; its own process may yet have stood still

FORGET_KEYS = """
DELETE FROM idempotency_keys WHERE (tenant, key) IN (
    SELECT tenant, key FROM idempotency_keys
    WHERE expires_at < now() AND (job_id IS NOT NULL OR expires_at < now() - make_interval(secs => $1))
    ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)
"""


async def forget_keys(connection: asyncpg.Connection) -> list[Dispatch]:
    """One turn; dispatches nothing."""
    await connection.execute(FORGET_KEYS, KEPT_CLAIM_S, BATCH)
    return []
