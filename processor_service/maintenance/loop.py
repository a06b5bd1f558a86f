"""Runs maintenance jobs in loops. Advisory locks bound how many workers run each job at a time."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from zlib import crc32

import asyncpg
import msgspec

from processor_service.maintenance.leader import Turn
from processor_service.telemetry.metrics import MAINTENANCE_DISPATCHES, MAINTENANCE_FAILURES, OTHER
from shared.connections.redis_shards import RedisShards
from shared.queue.dispatch import Dispatch
from shared.queue.enqueue import enqueue_by_tenant
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

log = Log(__name__)

RunOnce = Callable[[asyncpg.Connection], Awaitable[list[Dispatch] | None]]  # may return tasks to enqueue

PAUSE_AFTER_FAILURE_S = 0.5
ALWAYS_OPEN = contextlib.nullcontext()
LOCK_CLASS = 0x4852  # "HR": separates our advisory locks from those of other users of the database
MOST_LOCK = (1 << 31) - 1
LANES = {"erase": 4}  # how many workers may run a job at a time, each with a lock; of other jobs: one


# Locks are tried until one is taken.
TAKE_LANE = "SELECT lane FROM unnest($2::int[]) AS lane WHERE pg_try_advisory_xact_lock($1, lane) LIMIT 1"


class Loop(msgspec.Struct, frozen=True):
    """A job and when it runs. `gate` limits how many run at once. Only an exclusive one takes a lock."""

    name: str
    run_once: RunOnce
    turn: Turn
    gate: AbstractAsyncContextManager[None] = ALWAYS_OPEN
    exclusive: bool = True


async def run_forever(pool: asyncpg.Pool, shards: RedisShards, loop: Loop) -> None:
    """Run until cancelled. Log an outage when it starts and when it ends, and repeat what failed at the next turn."""
    label = loop.name if loop.name in MAINTENANCE_DISPATCHES else OTHER
    outages = Outages(log, "maintenance_failed", "maintenance_recovered", job=loop.name)
    run = run_locked if loop.exclusive else run_in_transaction
    while True:
        await loop.turn()
        try:
            async with loop.gate:
                dispatches = await run(pool, loop.name, loop.run_once)
            MAINTENANCE_DISPATCHES[label].inc(len(dispatches))
            await enqueue_by_tenant(shards, dispatches)
        except Exception as error:  # noqa: BLE001 - the loop must survive every outage
            MAINTENANCE_FAILURES[label].inc()
            outages.failed(error)
            await asyncio.sleep(PAUSE_AFTER_FAILURE_S)
        else:
            outages.worked()


async def run_locked(pool: asyncpg.Pool, name: str, run_once: RunOnce) -> list[Dispatch]:
    """Run a job once unless enough other workers run it. Return the dispatches to enqueue, after the commit.

    The lock ends with the transaction, also when this process dies.
    """

    async def locked(connection: asyncpg.Connection) -> list[Dispatch] | None:
        locks = [(crc32(name.encode()) >> 1) + lane & MOST_LOCK for lane in range(LANES.get(name, 1))]
        if await connection.fetchval(TAKE_LANE, LOCK_CLASS, locks) is None:
            return None
        return await run_once(connection)

    return await run_in_transaction(pool, name, locked)


async def run_in_transaction(pool: asyncpg.Pool, name: str, run_once: RunOnce) -> list[Dispatch]:
    """Run a job once. Return the dispatches to enqueue, after the commit."""
    async with pool.acquire() as connection, connection.transaction():
        dispatches = await run_once(connection) or []
    if dispatches:
        log.info("maintenance_dispatched", job=name, tasks=len(dispatches))
    return dispatches
