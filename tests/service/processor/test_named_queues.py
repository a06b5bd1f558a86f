"""Processors serve lists of queues in strict order, and every task of a job waits in the job's queue."""

import asyncio

import asyncpg
import msgspec
import pytest
from redis.asyncio import Redis

from processor_service.maintenance.loop import run_locked
from processor_service.maintenance.reconcile import Pruner, Reconciler
from processor_service.tasks.outcomes import Interrupted, Split
from processor_service.tasks.settle import settle
from shared.connections.redis_shards import alone
from shared.ids import new_id
from shared.queue.dispatch import (
    COMPUTE_QUEUE,
    DELIVERY_QUEUE,
    FETCH_QUEUE,
    Dispatch,
    compute_queue,
    dispatch_of,
    is_compute_queue,
)
from shared.queue.enqueue import enqueue
from shared.queue.fair_shares import correct_cost, queues_in_use, take
from shared.schemas.states import TaskKind
from tests.service.processor.conftest import Claim, Submit
from tests.service.processor.test_look_at_queue import Started, running, tasks, until_blocked, until_true
from tests.service.processor.test_settle import AUDIO, POLICY, SPANS

GPU, BULK = compute_queue("gpu"), compute_queue("bulk")


def named(queue: str, count: int, tenant: str = "one", **more: bool) -> list[Dispatch]:
    return [Dispatch(new_id(), 1, TaskKind.PREPARE, tenant, 60, queue_name=queue, **more) for _ in range(count)]


async def test_two_processors_serve_different_queues(redis_url: str) -> None:
    gpu, bulk = Started(), Started()
    for one in (gpu, bulk):
        one.may_end.set()
    for_gpu, for_bulk = named("gpu", 20), named("bulk", 20)
    async with (
        Redis.from_url(redis_url) as redis,
        running(redis_url, gpu, slots=2, queues=[GPU]),
        running(redis_url, bulk, slots=2, queues=[BULK]),
    ):
        await until_blocked(redis, 2)
        await enqueue(redis, [*for_gpu, *for_bulk, *tasks(1)])
        await asyncio.gather(gpu.until(20), bulk.until(20))
        assert await redis.zcard(COMPUTE_QUEUE) == 1  # no worker serves it
    assert set(gpu.ids) == {str(one.task_id) for one in for_gpu}
    assert set(bulk.ids) == {str(one.task_id) for one in for_bulk}


async def test_a_later_queue_waits_until_the_earlier_ones_are_empty(redis_url: str) -> None:
    started = Started()
    first, second, third = named("gpu", 5), tasks(5), named("bulk", 5)
    async with Redis.from_url(redis_url) as redis:
        await enqueue(redis, [*third, *second, *first])
        async with running(redis_url, started, slots=1, queues=[GPU, COMPUTE_QUEUE, BULK]):
            started.may_end.set()
            await started.until(15)
    assert started.ids == [str(one.task_id) for one in (*first, *second, *third)]


async def test_a_task_of_any_of_its_queues_wakes_a_worker(redis_url: str) -> None:
    started = Started()
    started.may_end.set()
    async with Redis.from_url(redis_url) as redis, running(redis_url, started, slots=1, queues=[GPU, BULK]):
        for count, queue in enumerate(("bulk", "gpu", "bulk"), start=1):
            await until_blocked(redis)
            await enqueue(redis, named(queue, 1))
            await started.until(count)


async def test_a_free_slot_of_one_worker_and_of_one_that_serves_all_take_a_long_backlog(redis_url: str) -> None:
    one, both = Started(), Started()
    async with (
        Redis.from_url(redis_url) as redis,
        running(redis_url, one, slots=2, queues=[BULK]),
        running(redis_url, both, slots=2, queues=[GPU, BULK]),
    ):
        await until_blocked(redis, 2)
        await enqueue(redis, named("bulk", 10))
        await until_true(lambda: len(one.ids) == len(both.ids) == 2)
        for started in (one, both):
            started.may_end.set()
        await until_true(lambda: len(one.ids) + len(both.ids) == 10)


@pytest.mark.parametrize("name", ["deliver", "fetch", "interactive", "default", "health", "gpu"])
async def test_every_name_has_keys_of_its_own(redis_url: str, name: str) -> None:
    """None is that of another queue, or of its interactive class."""
    async with Redis.from_url(redis_url) as redis:
        others = [
            *tasks(2, "a"),
            *[msgspec.structs.replace(one, interactive=True) for one in tasks(2, "a")],
            Dispatch(new_id(), 1, TaskKind.DELIVER, "a"),
            Dispatch(new_id(), 1, TaskKind.PREPARE, "a", to_fetch=True),
        ]
        await enqueue(redis, others)
        for queue in (COMPUTE_QUEUE, COMPUTE_QUEUE, DELIVERY_QUEUE, FETCH_QUEUE):
            await take(redis, queue, 1)
        await correct_cost(redis, COMPUTE_QUEUE, "a", 1000, interactive=True)
        before = {key: await redis.dump(key) for key in await redis.keys("*:arq:queue*") if b"wake" not in key}
        mine = named("other" if name == "default" else name, 3, "a") + named("gpu", 1, "b", interactive=True)
        await enqueue(redis, mine)
        (first,) = await take(redis, mine[0].queue, 1)
        assert first in {one.arq_id for one in mine}
        assert {key: await redis.dump(key) for key in before} == before
        assert set(await queues_in_use(redis)) == {COMPUTE_QUEUE, DELIVERY_QUEUE, FETCH_QUEUE, mine[0].queue, GPU}
        parsed = dispatch_of(mine[0].arq_id, mine[0].queue)
        assert parsed is not None
        assert parsed.queue == mine[0].queue


def test_which_queues_need_a_slot() -> None:
    assert all(map(is_compute_queue, (COMPUTE_QUEUE, GPU, compute_queue("interactive"))))
    assert not any(map(is_compute_queue, (DELIVERY_QUEUE, FETCH_QUEUE)))
    assert not is_compute_queue(f"{GPU}:interactive")
    assert compute_queue("default") == COMPUTE_QUEUE


async def test_chunks_and_the_next_attempt_wait_in_the_queue_of_the_job(
    database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    first, second = await submit(), await submit()
    await database.execute("UPDATE jobs SET queue = 'gpu'")
    interrupted = await settle(database, await claim_task(first), Interrupted(), policy=POLICY)
    assert [one.queue for one in interrupted.dispatches] == [GPU]
    split = await settle(database, await claim_task(second), Split(AUDIO.duration_s, SPANS, ()), policy=POLICY)
    assert {one.queue for one in split.dispatches} == {GPU}


async def test_maintenance_knows_named_queues(database: asyncpg.Pool, redis_url: str, submit: Submit) -> None:
    known, unknown, gone = await submit(), await submit(), new_id()
    await database.execute("UPDATE jobs SET queue = 'gpu'")
    await database.execute("UPDATE tasks SET dispatched_at = now() - interval '1 minute'")
    async with Redis.from_url(redis_url) as redis:
        await enqueue(redis, [Dispatch(one, 1, TaskKind.PREPARE, queue_name="gpu") for one in (known, gone)])

        (lost,) = await run_locked(database, "reconcile", Reconciler(alone(redis)))
        assert (lost.task_id, lost.dispatch_no, lost.queue) == (unknown, 2, GPU)

        await run_locked(database, "prune", Pruner(alone(redis)))
        assert await redis.zrange(GPU, 0, -1) == [f"{known}.1".encode()]
