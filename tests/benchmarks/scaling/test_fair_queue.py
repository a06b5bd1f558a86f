"""The simulated queue gives every task the place that Redis gives it."""

import random

import pytest
from redis.asyncio import Redis

from shared.ids import new_id
from shared.queue.dispatch import ARQ_IN_PROGRESS_KEY_PREFIX, COMPUTE_QUEUE, Dispatch
from shared.queue.enqueue import ring
from shared.queue.fair_shares import note_taken
from shared.schemas.states import TaskKind
from tests.benchmarks.scaling.fair_queue import FairQueue

KINDS = (TaskKind.PREPARE, TaskKind.PREPARE, TaskKind.CHUNK, TaskKind.FINISH)
STEPS = 250


class Both:
    """The queue in Redis, and ours."""

    def __init__(self, redis: Redis, seed: int) -> None:
        self.redis = redis
        self.queue = FairQueue()
        self.random = random.Random(seed)
        self.running: list[str] = []
        self.known: dict[str, Dispatch] = {}

    async def put(self, dispatches: list[Dispatch]) -> None:
        self.known |= {one.arq_id: one for one in dispatches}
        await ring(self.redis, dispatches)
        self.queue.put(dispatches)

    async def ring(self) -> None:
        kind, tenant = self.random.choice(KINDS), f"t{self.random.randrange(4)}"
        many = self.random.randrange(1, 12) if kind is TaskKind.CHUNK else 1
        cost = self.random.choice((1, 7, 60, 600))
        await self.put([Dispatch(new_id(), 1, kind, tenant, cost) for _ in range(many)])

    async def take(self) -> None:
        waiting = [
            (name.decode(), int(score))
            for name, score in await self.redis.zrange(COMPUTE_QUEUE, 0, -1, withscores=True)
            if name.decode() not in self.running
        ]
        taken = self.queue.take()
        assert taken == (waiting[0][0] if waiting else None)
        if taken is not None:
            await self.redis.set(ARQ_IN_PROGRESS_KEY_PREFIX + taken, b"1")
            await note_taken(self.redis, COMPUTE_QUEUE, waiting[0][1])
            self.running.append(taken)

    async def end(self) -> None:
        if self.running:
            await self._leave(self.running.pop(self.random.randrange(len(self.running))))

    async def again(self) -> None:
        """One that began is dispatched anew, as after a rescue."""
        if not self.running:
            return
        was = self.known[self.running.pop()]
        await self.put([Dispatch(was.task_id, was.dispatch_no + 1, was.kind, was.tenant, was.cost_s, has_begun=True)])

    async def _leave(self, name: str) -> None:
        await self.redis.zrem(COMPUTE_QUEUE, name)
        await self.redis.delete(ARQ_IN_PROGRESS_KEY_PREFIX + name)
        self.queue.end(name)

    async def compare(self) -> None:
        found = await self.redis.zrange(COMPUTE_QUEUE, 0, -1, withscores=True)
        assert {name.decode(): int(score) for name, score in found} == self.queue.scores


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_rung_taken_ended_and_rung_again_stands_where_redis_has_it(redis_url: str, seed: int) -> None:
    async with Redis.from_url(redis_url) as redis:
        both = Both(redis, seed)
        for _ in range(STEPS):
            step = both.random.choices((both.ring, both.take, both.end, both.again), (4, 5, 4, 1))[0]
            await step()
            await both.compare()
    assert len(both.known) > STEPS / 2
