"""Runs a piece of upkeep again and again; of all workers, only the one that holds its lock does it at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from zlib import crc32

import asyncpg

from processor_service.telemetry.metrics import OTHER, UPKEEP_DISPATCHES, UPKEEP_FAILURES
from shared.queue.dispatch import Dispatch
from shared.queue.enqueue import Redis, ring
from shared.telemetry.logs import Log

log = Log(__name__)

RunOnce = Callable[[asyncpg.Connection], Awaitable[list[Dispatch]]]

LOCK_CLASS = 0x4852  # "HR": keeps our advisory locks apart from those of other users of the database


async def run_forever(pool: asyncpg.Pool, redis: Redis, name: str, run_once: RunOnce, *, every_s: float) -> None:
    """Until cancelled. What goes wrong is logged and done again at the next turn."""
    counted = name if name in UPKEEP_DISPATCHES else OTHER
    while True:
        try:
            dispatches = await run_locked(pool, name, run_once)
            UPKEEP_DISPATCHES[counted].inc(len(dispatches))
            await ring(redis, dispatches)
        except Exception as error:  # noqa: BLE001 - upkeep outlives every outage of what it keeps up
            UPKEEP_FAILURES[counted].inc()
            log.warning("upkeep_failed", upkeep=name, error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(every_s)


async def run_locked(pool: asyncpg.Pool, name: str, run_once: RunOnce) -> list[Dispatch]:
    """One turn, unless another worker is at it; returns what to ring for now that it is committed.

    The lock ends with the transaction, also when this process dies.
    """
    async with pool.acquire() as connection, connection.transaction():
        lock = crc32(name.encode()) >> 1
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1, $2)", LOCK_CLASS, lock):
            return []
        dispatches = await run_once(connection)
    if dispatches:
        log.info("upkeep_dispatched", upkeep=name, tasks=len(dispatches))
    return dispatches
