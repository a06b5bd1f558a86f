"""A worker finds waiting tasks behind many running ones, with few commands to Redis."""

import asyncio
from typing import Any

from arq.worker import func
from redis.asyncio import Redis

from processor_service.tasks.arq_worker import READ_LIMIT, PollingWorker, connect
from shared.ids import new_id
from shared.queue.dispatch import (
    ARQ_FUNCTION,
    ARQ_IN_PROGRESS_KEY_PREFIX,
    COMPUTE_QUEUE,
    Dispatch,
    deserialize,
    serialize,
)
from shared.queue.enqueue import enqueue
from shared.schemas.states import TaskKind

RUNNING = 200


async def test_running_jobs_are_skipped_with_one_command(redis_url: str) -> None:
    started: list[str] = []

    async def run_task(_context: dict[Any, Any], task_id: str, _dispatch_no: int) -> None:
        started.append(task_id)

    dispatches = [Dispatch(new_id(), 1, TaskKind.PREPARE, "one", 60) for _ in range(RUNNING + 1)]
    async with Redis.from_url(redis_url) as redis:
        await enqueue(redis, dispatches)
        await redis.mset({ARQ_IN_PROGRESS_KEY_PREFIX + one.arq_id: b"1" for one in dispatches[:-1]})
        worker = _worker(redis_url, run_task)
        before = await _commands(redis)
        await worker._poll_iteration()
        await asyncio.gather(*worker.tasks.values())
        after = await _commands(redis)
        await worker.close()

    assert started == [str(dispatches[-1].task_id)]
    assert after - before < RUNNING / 4


async def _commands(redis: Any) -> int:
    return int((await redis.info("stats"))["total_commands_processed"])


def _worker(redis_url: str, run_task: Any) -> PollingWorker:
    return PollingWorker(
        functions=[func(run_task, name=ARQ_FUNCTION)],
        queue_name=COMPUTE_QUEUE,
        redis_pool=connect(redis_url),
        max_jobs=2,
        queue_read_limit=READ_LIMIT,
        handle_signals=False,
        keep_result=0,
        job_serializer=serialize,
        job_deserializer=deserialize,
    )
