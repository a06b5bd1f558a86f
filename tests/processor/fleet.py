"""A fleet that takes tasks from the real queue as arq does, and works on each for its cost, by a simulated clock."""

from collections import defaultdict
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from redis.asyncio import Redis

from shared.ids import new_id
from shared.queue.dispatch import ARQ_IN_PROGRESS_KEY_PREFIX, ARQ_JOB_KEY_PREFIX, COMPUTE_QUEUE, Dispatch
from shared.queue.enqueue import enqueue
from shared.queue.fair_shares import VIRTUAL_TIME_KEY, advance_virtual_time
from shared.schemas.states import TaskKind


class Taken(NamedTuple):
    """A task that a slot began with, and the tag that it had."""

    dispatch: Dispatch
    tag: int


class Fleet:
    """Rings for tasks, and takes the lowest score that nobody has, one after the other."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.taken: list[Taken] = []
        self.running: dict[str, Dispatch] = {}
        self._by_id: dict[str, Dispatch] = {}
        self._ends: list[tuple[int, str]] = []
        self._now_s = 0

    @property
    def known(self) -> list[Dispatch]:
        """All that was rung for."""
        return list(self._by_id.values())

    async def rung(
        self, tenant: str, costs_s: Sequence[int], kind: TaskKind = TaskKind.PREPARE, *, has_begun: bool = False
    ) -> list[Dispatch]:
        """New tasks of a tenant, in the queue."""
        tasks = [Dispatch(new_id(), 1, kind, tenant, cost_s, has_begun) for cost_s in costs_s]
        await self.enqueue(tasks)
        return tasks

    async def enqueue(self, dispatches: Sequence[Dispatch]) -> None:
        self._by_id |= {one.arq_id: one for one in dispatches}
        await enqueue(self.redis, dispatches)

    async def take(self) -> Dispatch | None:
        """What a free slot gets; None when nothing waits. It runs until it is ended."""
        first = await self.redis.zrange(COMPUTE_QUEUE, 0, len(self.running), withscores=True)
        for member, score in first:
            if member.decode() not in self.running:
                return await self._begin(member.decode(), int(score))
        return None

    async def _begin(self, arq_id: str, tag: int) -> Dispatch:
        dispatch = self.running[arq_id] = self._by_id[arq_id]
        async with self.redis.pipeline(transaction=False) as pipe:
            pipe.set(ARQ_IN_PROGRESS_KEY_PREFIX + arq_id, "1")
            await advance_virtual_time(pipe, COMPUTE_QUEUE, tag)
            await pipe.execute()
        heappush(self._ends, (self._now_s + dispatch.cost_s, arq_id))
        self.taken.append(Taken(dispatch, tag))
        return dispatch

    async def end(self, arq_id: str) -> None:
        """What arq does when a task is over."""
        del self.running[arq_id]
        async with self.redis.pipeline(transaction=False) as pipe:
            pipe.zrem(COMPUTE_QUEUE, arq_id)
            pipe.delete(ARQ_IN_PROGRESS_KEY_PREFIX + arq_id, ARQ_JOB_KEY_PREFIX + arq_id)
            await pipe.execute()

    async def work(self, slots: int, tasks: int | None = None) -> None:
        """All slots work until the queue is empty, or so many tasks more have begun."""
        until = None if tasks is None else len(self.taken) + tasks
        while len(self.taken) != until:
            if len(self.running) < slots and await self.take():
                continue
            if not self.running:
                return
            self._now_s, arq_id = heappop(self._ends)
            await self.end(arq_id)

    async def virtual_time(self) -> int:
        return int(await self.redis.zscore(VIRTUAL_TIME_KEY, COMPUTE_QUEUE) or 0)


def spread_of(taken: Sequence[Taken], tenant: str) -> int:
    """How far a tenant that always waits is off its share: the range of its work begun, less virtual time.

    Two tenants can differ in work, over any stretch of time, by the sum of theirs at most.
    """
    work = 0
    last = max(place for place, one in enumerate(taken) if one.dispatch.tenant == tenant)
    off = []
    now = taken[0].tag
    for dispatch, tag in taken[: last + 1]:
        now = max(now, tag)
        off.append(work - now)  # before it ...
        work += dispatch.cost_s if dispatch.tenant == tenant else 0
        off.append(work - now)  # ... and after it
    return max(off) - min(off)


def work_of(taken: Sequence[Taken]) -> dict[str, int]:
    """What each tenant had begun, in seconds."""
    work: dict[str, int] = defaultdict(int)
    for one in taken:
        work[one.dispatch.tenant] += one.dispatch.cost_s
    return work
