"""Measures the queue in Redis: memory of waiting tasks, enqueued dispatches a second, and the cost of taking a task."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from deploy.local.data_dir import stored_password
from deploy.local.processes import Processes
from deploy.local.servers import running
from deploy.local.valkey import Valkey
from shared.ids import new_id
from shared.queue.dispatch import COMPUTE_QUEUE, Dispatch
from shared.queue.enqueue import enqueue
from shared.queue.fair_shares import take
from shared.schemas.states import TaskKind
from tests.tools.benchmarks.scaling.measured import Look, Queue

QUEUED = 20_000
TENANTS = 100
MILLION = 1_000_000
LOADS = ((100, 0), (100, 100), (100, 10_000), (MILLION, 0), (MILLION, 10_000))  # tasks that wait, and that run
LOOKS = 50


async def measure_queue() -> Queue:
    """Measure on a separate Valkey."""
    async with _valkey() as url, Redis.from_url(url) as redis:
        prepare, rings_a_s = await _memory(redis, TaskKind.PREPARE, 1)
        chunk, _ = await _memory(redis, TaskKind.CHUNK, 10)
        looks = [await _look(redis, waiting, running) for waiting, running in LOADS]
    return Queue(bytes_a_prepare=prepare, bytes_a_chunk=chunk, rings_a_s=rings_a_s, looks=looks)


@asynccontextmanager
async def _valkey() -> AsyncIterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        password = Path(folder) / "password"
        stored_password(password)
        async with running(Valkey(Path(folder) / "data", password, Processes())) as server:
            yield server.url


async def _memory(redis: Any, kind: TaskKind, together: int) -> tuple[float, float]:
    """Return the bytes of a queued task, and the enqueued dispatches a second."""
    await redis.execute_command("FLUSHALL", "SYNC")  # ASYNC would free the memory later
    before = (await redis.info("memory"))["used_memory"]
    tenants = [f"t{number}" for number in range(TENANTS)]
    dispatches = [Dispatch(new_id(), 1, kind, tenants[number // together % TENANTS], 60) for number in range(QUEUED)]
    began_s = time.perf_counter()
    await enqueue(redis, dispatches)
    took_s = time.perf_counter() - began_s
    after = (await redis.info("memory"))["used_memory"]
    return round((after - before) / QUEUED, 1), round(QUEUED / took_s)


async def _look(redis: Any, waiting: int, running_tasks: int) -> Look:
    await redis.execute_command("FLUSHALL", "SYNC")
    total = waiting + running_tasks + LOOKS
    for at in range(0, total, QUEUED):
        count = min(QUEUED, total - at)
        await enqueue(redis, [Dispatch(new_id(), 1, TaskKind.PREPARE, f"t{one % TENANTS}", 60) for one in range(count)])
    await take(redis, COMPUTE_QUEUE, running_tasks)
    before = (await redis.info("stats"))["total_commands_processed"]
    began_s = time.perf_counter()
    for _ in range(LOOKS):
        await take(redis, COMPUTE_QUEUE, 1)
    seconds = (time.perf_counter() - began_s) / LOOKS
    commands = (await redis.info("stats"))["total_commands_processed"] - before - 1  # INFO itself
    return Look(waiting=waiting, running=running_tasks, commands=round(commands / LOOKS, 1), seconds=round(seconds, 5))


if __name__ == "__main__":
    print(asyncio.run(measure_queue()))
