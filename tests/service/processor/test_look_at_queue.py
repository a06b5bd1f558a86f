"""A worker takes tasks with one command, is woken when some are enqueued, and sends little while none are."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from arq.worker import func
from redis.asyncio import Redis

from processor_service.tasks import arq_worker
from processor_service.tasks.arq_worker import PollingWorker, connect
from shared.ids import new_id
from shared.queue.dispatch import ARQ_FUNCTION, COMPUTE_QUEUE, Dispatch
from shared.queue.enqueue import dequeue, enqueue
from shared.queue.fair_shares import MAX_POSTPONED, correct_cost, take, taken_key, wake_key
from shared.run_beside import run_beside
from shared.schemas.states import TaskKind
from tests.support.ingest.serving import until
from tests.support.processor.sent_commands import sent_commands

NEVER_S = 3600.0


class Started:
    """The tasks that workers run. Each runs until it may end."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.may_end = asyncio.Event()
        self._changed = asyncio.Condition()

    async def run_task(self, _context: dict[Any, Any], task_id: str, _dispatch_no: int) -> None:
        self.ids.append(task_id)
        async with self._changed:
            self._changed.notify_all()
        await self.may_end.wait()

    async def until(self, count: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.ids) >= count)


@asynccontextmanager
async def running(
    redis_url: str,
    started: Started,
    *,
    slots: int,
    queues: Sequence[str] = (COMPUTE_QUEUE,),
    look_every_s: float = NEVER_S,
) -> AsyncIterator[PollingWorker]:
    worker = PollingWorker(
        [func(started.run_task, name=ARQ_FUNCTION)],  # type: ignore[arg-type] # its Protocol wants *args
        queues=queues,
        redis_pool=connect(redis_url, timeout_s=5),
        max_jobs=slots,
        handle_signals=False,
        poll_delay=look_every_s,
    )
    try:
        async with run_beside(worker.main()):
            yield worker
    finally:
        await worker.close()


def tasks(count: int, tenant: str = "one") -> list[Dispatch]:
    return [Dispatch(new_id(), 1, TaskKind.PREPARE, tenant, 60) for _ in range(count)]


async def until_blocked(redis: Any, workers: int = 1) -> None:
    """Wait until so many workers block until tasks are enqueued."""

    async def are_blocked() -> bool:
        return bool((await redis.info("clients"))["blocked_clients"] == workers)

    await until(are_blocked)


async def until_true(condition: Callable[[], object]) -> None:
    async def is_true() -> bool:
        return bool(condition())

    await until(is_true)


@pytest.mark.parametrize("running_tasks", [0, 100, 3000])
async def test_a_look_costs_the_same_however_many_tasks_run(redis_url: str, running_tasks: int) -> None:
    async with Redis.from_url(redis_url) as redis:
        await enqueue(redis, tasks(running_tasks + 200))
        await take(redis, COMPUTE_QUEUE, running_tasks)
        before = await _processed(redis)
        assert len(await take(redis, COMPUTE_QUEUE, 1)) == 1
        assert await _processed(redis) - before < 20  # of the script, too


async def _processed(redis: Any) -> int:
    return int((await redis.info("stats"))["total_commands_processed"])


async def test_an_idle_worker_is_woken_by_the_enqueue(redis_url: str) -> None:
    started = Started()
    async with Redis.from_url(redis_url) as redis, running(redis_url, started, slots=2):
        for count in (1, 2):
            await until_blocked(redis)
            await enqueue(redis, tasks(1))
            await started.until(count)
        started.may_end.set()


async def test_one_task_wakes_one_worker_and_many_wake_all(redis_url: str) -> None:
    first, second = Started(), Started()
    async with (
        Redis.from_url(redis_url) as redis,
        running(redis_url, first, slots=2),
        running(redis_url, second, slots=2),
    ):
        await until_blocked(redis, 2)
        async with sent_commands(redis) as sent:
            await enqueue(redis, tasks(1))
            await until_true(lambda: first.ids or second.ids)
            await until_blocked(redis, 2)
        assert sent.count("EVALSHA") == 2  # enqueued and taken: the other worker did not look
        await enqueue(redis, tasks(10))
        await asyncio.gather(first.until(2), second.until(2))
        for one in (first, second):
            one.may_end.set()
        await until_true(lambda: len(first.ids) + len(second.ids) == 11)


async def test_a_slot_that_becomes_free_takes_the_next_task_at_once(redis_url: str) -> None:
    started = Started()
    async with Redis.from_url(redis_url) as redis, running(redis_url, started, slots=1):
        await enqueue(redis, tasks(50))
        await started.until(1)
        started.may_end.set()
        await started.until(50)


async def test_a_worker_that_lost_its_wake_up_looks_after_a_while(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after the death of a worker that was woken, or an enqueue by a version that wakes none."""
    monkeypatch.setattr(arq_worker, "BLOCKED_S", 0.05)
    started = Started()
    async with Redis.from_url(redis_url) as redis, running(redis_url, started, slots=1, look_every_s=0.2):
        await until_blocked(redis)
        await redis.zadd(COMPUTE_QUEUE, {tasks(1)[0].arq_id: 5})  # without its payload, too
        await started.until(1)
        started.may_end.set()


async def test_a_worker_that_stops_passes_its_wake_up_on(redis_url: str) -> None:
    stopping, other = Started(), Started()
    async with Redis.from_url(redis_url) as redis, running(redis_url, stopping, slots=1) as worker:
        await until_blocked(redis)
        worker.allow_pick_jobs = False
        async with running(redis_url, other, slots=1):
            await until_blocked(redis, 2)
            await enqueue(redis, tasks(1))
            await other.until(1)
            other.may_end.set()
    assert stopping.ids == []


async def test_a_worker_without_a_free_slot_sends_no_command(redis_url: str) -> None:
    started = Started()
    async with Redis.from_url(redis_url) as redis, running(redis_url, started, slots=1) as worker:
        await enqueue(redis, tasks(5))
        await started.until(1)
        await until_true(lambda: worker.last_poll_s)
        worker._last_health_check = NEVER_S * 1e6  # not due
        looked_s = worker.last_poll_s
        async with sent_commands(redis) as sent:
            await until_true(lambda: worker.last_poll_s - looked_s > 2 * arq_worker.PAUSE_S)
        started.may_end.set()
    assert sent.names == []


async def test_what_is_not_ours_is_dropped_and_a_failing_task_ends_no_worker(redis_url: str) -> None:
    started = Started()
    started.may_end.set()

    async def fail_first(context: dict[Any, Any], task_id: str, number: int) -> None:
        await started.run_task(context, task_id, number)
        if len(started.ids) == 1:
            raise ValueError(task_id)

    async with Redis.from_url(redis_url) as redis:
        await enqueue(redis, tasks(2))
        await redis.zadd(COMPUTE_QUEUE, {"other.member": 1})
        async with running(redis_url, started, slots=1) as worker:
            worker.functions[ARQ_FUNCTION] = func(fail_first, name=ARQ_FUNCTION)  # type: ignore[arg-type] # as above
            await started.until(2)
            await until_blocked(redis)
            assert (worker.jobs_failed, worker.jobs_complete) == (1, 1)
        assert await redis.zcard(COMPUTE_QUEUE) == 0


async def test_a_call_postpones_a_bounded_number_of_tasks_and_the_next_call_goes_on(redis_url: str) -> None:
    hostile = tasks(2 * MAX_POSTPONED + 10, "hostile")
    async with Redis.from_url(redis_url) as redis:
        await enqueue(redis, hostile)
        await correct_cost(redis, COMPUTE_QUEUE, "hostile", 10_000_000)
        looks: list[Sequence[str]] = []
        while not looks or not looks[-1]:
            looks.append(await take(redis, COMPUTE_QUEUE, 1))
            assert await redis.exists(wake_key(COMPUTE_QUEUE))
        assert [len(look) for look in looks] == [0, 0, 1]


async def test_nothing_is_left_of_an_empty_queue_but_the_marks_of_a_minute(redis_url: str) -> None:
    dispatches = tasks(3)
    async with Redis.from_url(redis_url) as redis:
        await enqueue(redis, dispatches)
        await take(redis, COMPUTE_QUEUE, 2)
        await dequeue(redis, dispatches[2:])
        assert await take(redis, COMPUTE_QUEUE, 1) == []
        keys = {key.decode() for key in await redis.keys("*")}
        assert keys - {"headrace:virtual-time", f"headrace:tails:{COMPUTE_QUEUE}"} == {taken_key(COMPUTE_QUEUE)}
        assert 0 < await redis.pttl(taken_key(COMPUTE_QUEUE)) <= 60_000
