"""Measures the queue in Redis: memory of waiting tasks, enqueued dispatches a second, cost of a poll by running tasks.

arq leaves running tasks at the head of its queue. A worker with a free slot checks for each whether it runs.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from arq.connections import ArqRedis
from arq.worker import func
from redis.asyncio import Redis

from deploy.local.data_dir import stored_password
from deploy.local.processes import Processes
from deploy.local.servers import running
from deploy.local.valkey import Valkey
from processor_service.tasks.arq_worker import READ_LIMIT, PollingWorker, connect
from shared.ids import new_id
from shared.queue.dispatch import ARQ_FUNCTION, ARQ_IN_PROGRESS_KEY_PREFIX, COMPUTE_QUEUE, Dispatch
from shared.queue.enqueue import enqueue
from shared.schemas.states import TaskKind
from tests.tools.benchmarks.scaling.measured import Polls, Queue

QUEUED = 20_000
TENANTS = 100
RUNNING = (0, 50, 100, 200, 400, 800)
POLLS = 7


async def measure_queue() -> Queue:
    """Measure on a separate Valkey."""
    async with _valkey() as url, Redis.from_url(url) as redis:
        prepare, rings_a_s = await _memory(redis, TaskKind.PREPARE, 1)
        chunk, _ = await _memory(redis, TaskKind.CHUNK, 10)
        looks = [await _poll_cost(url, redis, number) for number in RUNNING]
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


async def _poll_cost(url: str, redis: Any, number: int) -> Polls:
    await redis.execute_command("FLUSHALL", "SYNC")  # ASYNC would free the memory later
    dispatches = [Dispatch(new_id(), 1, TaskKind.PREPARE, f"t{one % TENANTS}", 60) for one in range(number)]
    await enqueue(redis, dispatches)
    for dispatch in dispatches:
        await redis.set(ARQ_IN_PROGRESS_KEY_PREFIX + dispatch.arq_id, b"1")
    worker = _worker(connect(url))
    await worker._poll_iteration()  # the first poll also writes the health key
    before = (await redis.info("stats"))["total_commands_processed"]
    began_s = time.perf_counter()
    for _ in range(POLLS):
        await worker._poll_iteration()
    seconds = (time.perf_counter() - began_s) / POLLS
    commands = (await redis.info("stats"))["total_commands_processed"] - before - 1  # INFO itself
    await worker.close()
    return Polls(running=number, commands=round(commands / POLLS, 1), seconds=round(seconds, 5))


def _worker(redis: ArqRedis) -> PollingWorker:
    return PollingWorker(
        functions=[func(cast("Any", asyncio.sleep), name=ARQ_FUNCTION)],  # never called
        queue_name=COMPUTE_QUEUE,
        redis_pool=redis,
        handle_signals=False,
        max_jobs=1,
        queue_read_limit=READ_LIMIT,
        health_check_interval=3600,
    )


if __name__ == "__main__":
    print(asyncio.run(measure_queue()))
