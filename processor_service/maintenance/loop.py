"""Runs maintenance jobs in loops. An advisory lock lets one worker at a time run each job."""

import asyncio
from collections.abc import Awaitable, Callable
from zlib import crc32

import asyncpg

from processor_service.telemetry.metrics import MAINTENANCE_DISPATCHES, MAINTENANCE_FAILURES, OTHER
from shared.connections.redis import Redis
from shared.queue.dispatch import Dispatch
from shared.queue.enqueue import enqueue
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

log = Log(__name__)

RunOnce = Callable[[asyncpg.Connection], Awaitable[list[Dispatch] | None]]  # may return tasks to enqueue

LOCK_CLASS = 0x4852  # "HR": separates our advisory locks from those of other users of the database


async def run_forever(pool: asyncpg.Pool, redis: Redis, name: str, run_once: RunOnce, *, every_s: float) -> None:
    """Run until cancelled. Log an outage when it starts and when it ends, and repeat what failed at the next run."""
    label = name if name in MAINTENANCE_DISPATCHES else OTHER
    outages = Outages(log, "maintenance_failed", "maintenance_recovered", job=name)
    while True:
        try:
            dispatches = await run_locked(pool, name, run_once)
            MAINTENANCE_DISPATCHES[label].inc(len(dispatches))
            await enqueue(redis, dispatches)
        except Exception as error:  # noqa: BLE001 - the loop must survive every outage
            MAINTENANCE_FAILURES[label].inc()
            outages.failed(error)
        else:
            outages.worked()
        await asyncio.sleep(every_s)


async def run_locked(pool: asyncpg.Pool, name: str, run_once: RunOnce) -> list[Dispatch]:
    """Run a job once unless another worker runs it. Return the dispatches to enqueue, after the commit.

    The lock ends with the transaction, also when this process dies.
    """
    async with pool.acquire() as connection, connection.transaction():
        lock = crc32(name.encode()) >> 1
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1, $2)", LOCK_CLASS, lock):
            return []
        dispatches = await run_once(connection) or []
    if dispatches:
        log.info("maintenance_dispatched", job=name, tasks=len(dispatches))
    return dispatches
