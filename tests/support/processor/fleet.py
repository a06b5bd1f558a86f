"""Simulated workers that take tasks from the real queue. Each task takes its cost on a simulated clock."""

from collections import defaultdict
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any, NamedTuple

from redis.asyncio import Redis

from shared.ids import new_id
from shared.queue.dispatch import COMPUTE_QUEUE, Dispatch
from shared.queue.enqueue import enqueue
from shared.queue.fair_shares import INTERACTIVE_SHARE, VIRTUAL_TIME_KEY, take
from shared.schemas.states import TaskKind


class Taken(NamedTuple):
    """A task that a slot started, and the virtual time of the backlog then."""

    dispatch: Dispatch
    tag: int


class Fleet:
    """Enqueues tasks, and takes them one by one."""

    def __init__(self, redis: Redis, share: float = INTERACTIVE_SHARE) -> None:
        self.redis = redis
        self.share = share  # of the interactive class
        self.taken: list[Taken] = []
        self.running: dict[str, Dispatch] = {}
        self._by_id: dict[str, Dispatch] = {}
        self._ends: list[tuple[int, str]] = []
        self._now_s = 0

    @property
    def known(self) -> list[Dispatch]:
        """Return all enqueued dispatches."""
        return list(self._by_id.values())

    async def enqueue_new(
        self, tenant: str, costs_s: Sequence[int], kind: TaskKind = TaskKind.PREPARE, **more: Any
    ) -> list[Dispatch]:
        """Enqueue new tasks of a tenant."""
        tasks = [Dispatch(new_id(), 1, kind, tenant, cost_s, **more) for cost_s in costs_s]
        await self.enqueue(tasks)
        return tasks

    async def enqueue(self, dispatches: Sequence[Dispatch]) -> None:
        self._by_id |= {one.arq_id: one for one in dispatches}
        await enqueue(self.redis, dispatches)

    async def take(self) -> Dispatch | None:
        """Start the next task in a free slot. Return None if no task waits."""
        taken = await take(self.redis, COMPUTE_QUEUE, 1, share=self.share)
        if not taken:
            return None
        (arq_id,) = taken
        dispatch = self.running[arq_id] = self._by_id[arq_id]
        heappush(self._ends, (self._now_s + dispatch.cost_s, arq_id))
        self.taken.append(Taken(dispatch, await self.virtual_time()))
        return dispatch

    def end(self, arq_id: str) -> None:
        """Free the slot of an ended task."""
        del self.running[arq_id]

    async def work(self, slots: int, tasks: int | None = None) -> None:
        """Run all slots until the queue is empty, or until `tasks` more tasks have started."""
        until = None if tasks is None else len(self.taken) + tasks
        while len(self.taken) != until:
            if len(self.running) < slots and await self.take():
                continue
            if not self.running:
                return
            self._now_s, arq_id = heappop(self._ends)
            self.end(arq_id)

    async def virtual_time(self) -> int:
        return int(await self.redis.zscore(VIRTUAL_TIME_KEY, COMPUTE_QUEUE) or 0)


def spread_of(taken: Sequence[Taken], tenant: str) -> int:
    """Return the range of a waiting tenant's started work minus virtual time: its deviation from its fair share.

    Over any interval, the work of two tenants differs by at most the sum of their deviations.
    """
    work = 0
    last = max(position for position, one in enumerate(taken) if one.dispatch.tenant == tenant)
    deviations = []
    now = taken[0].tag
    for dispatch, tag in taken[: last + 1]:
        now = max(now, tag)
        deviations.append(work - now)  # before the task
        work += dispatch.cost_s if dispatch.tenant == tenant else 0
        deviations.append(work - now)  # after it
    return max(deviations) - min(deviations)


def work_of(taken: Sequence[Taken]) -> dict[str, int]:
    """Return the started work of each tenant, in seconds."""
    work: dict[str, int] = defaultdict(int)
    for one in taken:
        work[one.dispatch.tenant] += one.dispatch.cost_s
    return work
