"""What no processor can summarize is ended: on a real Redis, in which processors announce their chat providers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from redis.asyncio import Redis

from processor_service.tasks.unprovided_summaries import LOOKS, MOST_A_LOOK, UnprovidedSummaries
from shared.connections.redis_shards import alone
from shared.ids import new_id
from shared.queue.announced_models import SUMMARIES_KEY, announce_summaries
from shared.queue.dispatch import SUMMARY_QUEUE, Dispatch
from shared.queue.enqueue import enqueue
from shared.schemas.states import TaskKind


class Ended:
    """Notes the tasks that are ended; the first fails if `error` is set."""

    def __init__(self) -> None:
        self.dispatches: list[Dispatch] = []
        self.error: Exception | None = None

    async def end(self, dispatch: Dispatch) -> None:
        error, self.error = self.error, None
        if error:
            raise error
        self.dispatches.append(dispatch)


@pytest_asyncio.fixture
async def redis(redis_url: str) -> AsyncIterator[Any]:
    async with Redis.from_url(redis_url) as client:
        yield client


def summaries(count: int) -> list[Dispatch]:
    return [Dispatch(new_id(), 1, TaskKind.SUMMARIZE) for _ in range(count)]


async def waiting(redis: Any) -> int:
    return int(await redis.zcard(SUMMARY_QUEUE))


async def test_nothing_is_taken_while_a_processor_announces_providers(redis: Any) -> None:
    ended = Ended()
    work = UnprovidedSummaries(alone(redis), ended.end)
    await announce_summaries(redis)
    await enqueue(redis, summaries(2))
    for _ in range(LOOKS + 1):
        await work.look()
    assert (ended.dispatches, await waiting(redis)) == ([], 2)


async def test_tasks_are_ended_once_none_was_announced_for_a_while(redis: Any) -> None:
    ended, tasks = Ended(), summaries(3)
    work = UnprovidedSummaries(alone(redis), ended.end)
    await enqueue(redis, tasks)
    for _ in range(LOOKS - 1):
        await work.look()
    assert ended.dispatches == []
    await work.look()
    assert [one.arq_id for one in ended.dispatches] == [one.arq_id for one in tasks]
    assert await waiting(redis) == 0
    await enqueue(redis, summaries(1))
    await work.look()
    assert len(ended.dispatches) == 4


async def test_a_redis_that_lost_its_data_ends_nothing(redis: Any) -> None:
    ended = Ended()
    work = UnprovidedSummaries(alone(redis), ended.end)
    await enqueue(redis, summaries(1))
    for _ in range(3):
        await redis.delete(SUMMARIES_KEY)
        for _ in range(LOOKS - 1):
            await work.look()
        await announce_summaries(redis)
        await work.look()
    assert (ended.dispatches, await waiting(redis)) == ([], 1)


async def test_a_look_ends_a_bounded_number_of_tasks(redis: Any) -> None:
    ended = Ended()
    work = UnprovidedSummaries(alone(redis), ended.end)
    await enqueue(redis, summaries(MOST_A_LOOK + 5))
    for _ in range(LOOKS):
        await work.look()
    assert (len(ended.dispatches), await waiting(redis)) == (MOST_A_LOOK, 5)


async def test_the_loop_survives_an_error(redis: Any) -> None:
    ended, ran_out = Ended(), asyncio.Event()
    ended.error = OSError("down")
    turns = iter(range(LOOKS + 1))

    async def turn() -> None:
        if next(turns, None) is None:
            ran_out.set()
            await asyncio.Event().wait()

    await enqueue(redis, summaries(2))
    work = asyncio.create_task(UnprovidedSummaries(alone(redis), ended.end).run(turn))
    await asyncio.wait_for(ran_out.wait(), 30)
    work.cancel()
    await asyncio.wait([work])
    assert (len(ended.dispatches), await waiting(redis)) == (1, 0)  # the reconciler enqueues the other one again
