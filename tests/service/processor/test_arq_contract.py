"""The format that the services write to Redis is that of arq 0.28.0, shown with a real arq worker."""

from importlib.metadata import version
from typing import Any

from arq.constants import default_queue_name, job_key_prefix
from arq.worker import Worker, func
from redis.asyncio import Redis

from processor_service.tasks.arq_worker import connect
from shared.ids import new_id
from shared.queue.dispatch import ARQ_FUNCTION, ARQ_JOB_KEY_PREFIX, COMPUTE_QUEUE, Dispatch, deserialize, serialize
from shared.queue.enqueue import enqueue
from shared.queue.fair_shares import take
from shared.schemas.states import TaskKind


def test_the_installed_arq_has_the_format_that_we_write() -> None:
    assert version("arq") == "0.28.0"
    assert (default_queue_name, job_key_prefix) == (COMPUTE_QUEUE, ARQ_JOB_KEY_PREFIX)


async def test_arq_of_an_older_version_runs_what_waits_once_and_leaves_no_keys(redis_url: str) -> None:
    """A processor of an older version runs beside this one during an upgrade."""
    started: list[tuple[str, int]] = []

    async def run_task(_context: dict[Any, Any], task_id: str, dispatch_no: int) -> None:
        started.append((task_id, dispatch_no))

    dispatches = [Dispatch(new_id(), number, TaskKind.CHUNK) for number in (1, 7, 2)]
    pool = connect(redis_url)
    await enqueue(pool, dispatches)
    await enqueue(pool, dispatches)
    (taken,) = await take(pool, COMPUTE_QUEUE, 1)
    worker = Worker(
        functions=[func(run_task, name=ARQ_FUNCTION)],  # type: ignore[arg-type] # its Protocol wants *args
        redis_pool=pool,
        burst=True,
        handle_signals=False,
        keep_result=0,
        poll_delay=0.01,
        job_serializer=serialize,
        job_deserializer=deserialize,
    )
    await worker.main()
    await worker.close()

    assert sorted(started) == sorted((str(one.task_id), one.dispatch_no) for one in dispatches if one.arq_id != taken)
    async with Redis.from_url(redis_url) as redis:
        assert await redis.keys("arq:job:*") == []
        assert await redis.zcard(COMPUTE_QUEUE) == 0
