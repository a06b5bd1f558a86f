"""What Redis' queue costs: memory for what waits, rings a second, and a look at it by how much runs.

arq leaves a running task in its queue, at the head. A worker with a free slot asks of each of them whether it runs.
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

from deploy.local.data_dir import kept_password
from deploy.local.processes import Processes
from deploy.local.servers import running
from deploy.local.valkey import Valkey
from processor_service.tasks.arq_worker import READ_LIMIT, PollingWorker, connect
from shared.ids import new_id
from shared.queue.dispatch import ARQ_FUNCTION, ARQ_IN_PROGRESS_KEY_PREFIX, COMPUTE_QUEUE, Dispatch
from shared.queue.enqueue import ring
from shared.schemas.states import TaskKind
from tests.benchmarks.scaling.measured import Looks, Queue

QUEUED = 20_000
TENANTS = 100
RUNNING = (0, 50, 100, 200, 400, 800)
LOOKS = 7


async def look_at_queue() -> Queue:
    """On a Valkey of its own."""
    async with _valkey() as url, Redis.from_url(url) as redis:
        prepare, rings_a_s = await _memory(redis, TaskKind.PREPARE, 1)
        chunk, _ = await _memory(redis, TaskKind.CHUNK, 10)
        looks = [await _look(url, redis, number) for number in RUNNING]
    return Queue(bytes_a_prepare=prepare, bytes_a_chunk=chunk, rings_a_s=rings_a_s, looks=looks)


@asynccontextmanager
async def _valkey() -> AsyncIterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        password = Path(folder) / "password"
        kept_password(password)
        async with running(Valkey(Path(folder) / "data", password, Processes())) as server:
            yield server.url


async def _memory(redis: Any, kind: TaskKind, together: int) -> tuple[float, float]:
    """Bytes a queued task, and rings a second."""
    await redis.execute_command("FLUSHALL", "SYNC")  # else the memory is freed later
    before = (await redis.info("memory"))["used_memory"]
    tenants = [f"t{number}" for number in range(TENANTS)]
    dispatches = [Dispatch(new_id(), 1, kind, tenants[number // together % TENANTS], 60) for number in range(QUEUED)]
    began_s = time.perf_counter()
    await ring(redis, dispatches)
    took_s = time.perf_counter() - began_s
    after = (await redis.info("memory"))["used_memory"]
    return round((after - before) / QUEUED, 1), round(QUEUED / took_s)


async def _look(url: str, redis: Any, number: int) -> Looks:
    await redis.execute_command("FLUSHALL", "SYNC")  # else the memory is freed later
    dispatches = [Dispatch(new_id(), 1, TaskKind.PREPARE, f"t{one % TENANTS}", 60) for one in range(number)]
    await ring(redis, dispatches)
    for dispatch in dispatches:
        await redis.set(ARQ_IN_PROGRESS_KEY_PREFIX + dispatch.arq_id, b"1")
    worker = _worker(connect(url))
    await worker._poll_iteration()  # the first tells of its health, too
    before = (await redis.info("stats"))["total_commands_processed"]
    began_s = time.perf_counter()
    for _ in range(LOOKS):
        await worker._poll_iteration()
    seconds = (time.perf_counter() - began_s) / LOOKS
    commands = (await redis.info("stats"))["total_commands_processed"] - before - 1  # INFO itself
    await worker.close()
    return Looks(running=number, commands=round(commands / LOOKS, 1), seconds=round(seconds, 5))


def _worker(redis: ArqRedis) -> PollingWorker:
    return PollingWorker(
        functions=[func(cast("Any", asyncio.sleep), name=ARQ_FUNCTION)],  # none is called
        queue_name=COMPUTE_QUEUE,
        redis_pool=redis,
        handle_signals=False,
        max_jobs=1,
        queue_read_limit=READ_LIMIT,
        health_check_interval=3600,
    )


if __name__ == "__main__":
    print(asyncio.run(look_at_queue()))
