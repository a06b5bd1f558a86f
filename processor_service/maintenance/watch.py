"""Looks on behalf of the leader for what the slow loops have to do, so that a loop without work costs no transaction.

One statement answers for all loops that work in the database. What is in Redis is compared there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection

import asyncpg

from processor_service.maintenance.expire import (
    ENDED_SESSIONS,
    EXPIRED,
    EXPIRED_KEYS,
    FORGOTTEN,
    UNCLEARED,
    UNFOLDED,
    UNNEEDED_HEADERS,
)
from processor_service.maintenance.leader import Leader
from processor_service.maintenance.storage import DIRECT_AGE_S
from processor_service.maintenance.webhook_log import OLD_TESTS
from shared.blobs import blob_keys
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

log = Log(__name__)

OVERDUE_EVERY_S = 30.0
IN_REDIS_EVERY_S = 10.0
TIMEOUT_S = 10.0

# A pass over the store is due while one is under way, and when the last one is old enough: `StoreScan.current` decides.
SCAN_IS_DUE = """NOT EXISTS (
        SELECT FROM blob_scans WHERE name = '{}' AND ended_at IS NOT NULL
            AND before > now() - make_interval(secs => $1) - make_interval(secs => {}))"""

# $1: the least time between two passes. Each column is named like its loop.
OVERDUE = f"""
SELECT EXISTS (SELECT FROM idempotency_keys WHERE {EXPIRED_KEYS}) AS idempotency_keys,
    EXISTS (SELECT FROM sessions WHERE {ENDED_SESSIONS}) AS sessions,
    EXISTS (SELECT FROM tenant_usage WHERE {UNFOLDED}) AS usage,
    EXISTS (SELECT FROM source_headers WHERE {UNNEEDED_HEADERS}) AS source_headers,
    EXISTS (SELECT FROM webhook_tests WHERE {OLD_TESTS})
        OR EXISTS (SELECT FROM webhook_attempts WHERE tenant IS NULL) AS webhook_log,
    EXISTS (SELECT FROM uploads WHERE {EXPIRED}) OR EXISTS (SELECT FROM uploads WHERE {UNCLEARED})
        OR EXISTS (SELECT FROM uploads WHERE {FORGOTTEN}) AS uploads,
    {SCAN_IS_DUE.format(blob_keys.ALL_JOBS, "$1")} AS orphans,
    {SCAN_IS_DUE.format(blob_keys.ALL_UPLOADS, "$1")} AS upload_parts,
    {SCAN_IS_DUE.format(blob_keys.ALL_DIRECT, DIRECT_AGE_S)}
        OR EXISTS (SELECT FROM direct_uploads WHERE created_at < now() - interval '{DIRECT_AGE_S} s') AS direct_uploads
"""  # noqa: S608 - constants


async def find_overdue(pool: asyncpg.Pool, *, orphan_age_s: float) -> list[str]:
    """Return the loops that have work in the database or in the blob store."""
    row = await pool.fetchrow(OVERDUE, orphan_age_s)
    return [name for name, is_due in row.items() if is_due]


async def watch(leader: Leader, every_s: float, find: Callable[[], Awaitable[Collection[str]]]) -> None:
    """While this process leads, give turns to the loops that `find` returns. Run until cancelled."""
    turn, outages = leader.every(every_s), Outages(log, "watch_failed", "watch_recovered")
    while True:
        await turn()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                found = await find()
        except Exception as error:  # noqa: BLE001 - the next look follows
            outages.failed(error)
        else:
            outages.worked()
            for name in found:
                leader.ask(name)
