"""Dispatches per second with fair shares, compared with first come, first served.

`python -m tests.tools.benchmarks.enqueue` starts a Valkey, repeats both in turn, and prints one JSON object.
"""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from redis.asyncio import Redis

from deploy.local.data_dir import stored_password
from deploy.local.processes import Processes
from deploy.local.servers import running
from deploy.local.valkey import Valkey
from shared.ids import new_id
from shared.queue.dispatch import ARQ_JOB_KEY_PREFIX, COMPUTE_QUEUE, PAYLOAD_TTL_MS, Dispatch, arq_payload
from shared.queue.enqueue import enqueue
from shared.schemas.states import TaskKind

ROUNDS = 7
BATCHES = 40
TENANTS = 100
LONG_FILES = 20

Push = Callable[[Redis, list[Dispatch]], Awaitable[None]]


async def first_come_first_served(redis: Redis, dispatches: list[Dispatch]) -> None:
    """The baseline: one pipelined push with the time as the score."""
    seconds, microseconds = await redis.time()
    now_ms = int(seconds) * 1000 + int(microseconds) // 1000
    pipe = redis.pipeline(transaction=True)
    for dispatch in dispatches:
        payload = arq_payload(dispatch, enqueued_at_ms=now_ms)
        pipe.set(ARQ_JOB_KEY_PREFIX + dispatch.arq_id, payload, px=PAYLOAD_TTL_MS, nx=True)
    pipe.zadd(COMPUTE_QUEUE, {dispatch.arq_id: now_ms for dispatch in dispatches}, nx=True)
    await pipe.execute()


async def measured(redis: Redis, push: Push, batch: int) -> float:
    """Dispatches per second in batches of all tenants in turn. Each tenant has long files in the queue."""
    await redis.flushall()
    for tenant in range(TENANTS):
        await enqueue(redis, [Dispatch(new_id(), 1, TaskKind.CHUNK, f"t{tenant}", 600) for _ in range(LONG_FILES)])
    batches = [
        [Dispatch(new_id(), 1, TaskKind.PREPARE, f"t{(number * batch + at) % TENANTS}", 60) for at in range(batch)]
        for number in range(BATCHES)
    ]
    began_s = time.perf_counter()
    for dispatches in batches:
        await push(redis, dispatches)
    return BATCHES * batch / (time.perf_counter() - began_s)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        password = Path(folder) / "password"
        stored_password(password)
        valkey = Valkey(Path(folder) / "data", password, Processes())
        async with running(valkey) as server, Redis.from_url(server.url) as redis:
            print(json.dumps({f"batch_{size}": await compared(redis, size) for size in (1, 10, 100, 500)}))


async def compared(redis: Redis, batch: int) -> dict[str, float | list[float]]:
    """The medians of both, and the ratio with its range."""
    fair, plain = [], []
    for _ in range(ROUNDS):
        plain.append(await measured(redis, first_come_first_served, batch))
        fair.append(await measured(redis, enqueue, batch))
    ratios = sorted(one / other for one, other in zip(fair, plain, strict=True))
    return {
        "fair_per_s": round(statistics.median(fair)),
        "first_come_per_s": round(statistics.median(plain)),
        "ratio": round(statistics.median(ratios), 2),
        "ratio_spread": [round(ratios[0], 2), round(ratios[-1], 2)],
    }


if __name__ == "__main__":
    asyncio.run(main())
