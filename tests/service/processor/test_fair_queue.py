"""The model of the queue: every score equals the one that the script gives on a real server; the estimate is close."""

import asyncio
from collections import Counter
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from shared.ids import new_id
from shared.queue.backlogs import Backlog, Backlogs
from shared.queue.dispatch import COMPUTE_QUEUE, DELIVERY_QUEUE, Dispatch
from shared.queue.enqueue import enqueue
from shared.queue.fair_queue import FairQueue
from shared.queue.fair_shares import MAX_SCORE, correct_cost, take
from shared.schemas.states import TaskKind


class Put(NamedTuple):
    """Enqueue a batch of new tasks of one tenant."""

    kind: TaskKind
    tenant: str
    costs_s: list[int]
    interactive: bool = False


class Take(NamedTuple):
    """A worker takes the next tasks with one call."""

    wanted: int


class End(NamedTuple):
    """The n-th running task ends."""

    number: int


class Redispatch(NamedTuple):
    """The n-th task that waits or runs is dispatched again. A running one that has not begun was not claimed."""

    number: int
    has_begun: bool = True


class Correct(NamedTuple):
    """A task of a tenant was longer or shorter than guessed."""

    tenant: str
    late_s: int
    interactive: bool = False


COSTS_S = st.one_of(st.integers(1, 900), st.sampled_from([1, 60, 600, MAX_SCORE // 2]))
COMPUTE_KINDS = st.sampled_from([TaskKind.PREPARE, TaskKind.CHUNK, TaskKind.CHUNK, TaskKind.FINISH])
BATCHES = st.lists(COSTS_S, min_size=1, max_size=8)
PUTS = st.builds(Put, COMPUTE_KINDS, st.sampled_from("abc"), BATCHES, st.booleans())
DELIVERIES = st.builds(
    Put, st.just(TaskKind.DELIVER), st.sampled_from("abc"), st.lists(COSTS_S, min_size=1, max_size=4)
)
OTHERS = st.one_of(
    st.builds(Take, st.integers(1, 3)),
    st.builds(Take, st.integers(1, 12)),
    st.builds(End, st.integers(0, 99)),
    st.builds(Redispatch, st.integers(0, 99), st.booleans()),
    st.builds(Correct, st.sampled_from("abc"), st.one_of(st.integers(-900, 900), st.just(MAX_SCORE)), st.booleans()),
)
Step = Put | Take | End | Redispatch | Correct


class Both:
    """The same steps on a queue in Redis and on the model."""

    def __init__(self, redis: Redis, queue: str) -> None:
        self.redis = redis
        self.queue = queue
        self.model = FairQueue()
        self.running: list[str] = []
        self.present: dict[str, Dispatch] = {}

    async def step(self, step: Step) -> None:
        match step:
            case Put():
                await self._put(
                    [
                        Dispatch(new_id(), 1, step.kind, step.tenant, cost_s, interactive=step.interactive)
                        for cost_s in step.costs_s
                    ]
                )
            case Take():
                await self._take(step.wanted)
            case End() if self.running:
                self._end(self.running.pop(step.number % len(self.running)))
            case Redispatch() if self.present:
                name = list(self.present)[step.number % len(self.present)]
                await self._redispatch(name, has_begun=step.has_begun)
            case Correct():
                if step.late_s:
                    await correct_cost(self.redis, self.queue, step.tenant, step.late_s, interactive=step.interactive)
                    self.model.correct(step.tenant, step.late_s, interactive=step.interactive)
        found = await self.redis.zrange(self.queue, 0, -1, withscores=True)
        assert {name.decode(): int(score) for name, score in found} == self.model.scores

    async def _put(self, dispatches: list[Dispatch]) -> None:
        self.present |= {one.arq_id: one for one in dispatches}
        await enqueue(self.redis, dispatches)
        self.model.put(dispatches)

    async def _take(self, wanted: int) -> None:
        taken = await take(self.redis, self.queue, wanted)
        assert taken == [name for name in (self.model.take() for _ in range(wanted)) if name is not None]
        self.running += taken

    def _end(self, name: str) -> None:
        del self.present[name]
        self.model.end(name)

    async def _redispatch(self, name: str, *, has_begun: bool) -> None:
        """As the rescue of a running task, or the replacement of a waiting or lost one."""
        old, was_taken = self.present.pop(name), name in self.running
        if was_taken:
            self.running.remove(name)
        has_begun = has_begun and was_taken
        await self._put([msgspec.structs.replace(old, dispatch_no=old.dispatch_no + 1, has_begun=has_begun)])


async def expect_equal_scores(redis_url: str, queue: str, steps: list[Step]) -> None:
    async with Redis.from_url(redis_url) as redis:
        await redis.flushall()
        both = Both(redis, queue)
        for step in steps:
            await both.step(step)


@pytest.mark.fuzz
@pytest.mark.parametrize(("queue", "puts"), [(COMPUTE_QUEUE, PUTS), (DELIVERY_QUEUE, DELIVERIES)])
def test_the_model_gives_every_dispatch_the_score_that_the_script_gives(
    redis_url: str, queue: str, puts: st.SearchStrategy[Put]
) -> None:
    with asyncio.Runner() as runner:

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(puts | OTHERS, min_size=1, max_size=40) | st.lists(puts | OTHERS, min_size=30, max_size=60))
        def holds(steps: list[Step]) -> None:
            runner.run(expect_equal_scores(redis_url, queue, steps))

        holds()


SIZES = st.lists(st.integers(1, 600), min_size=1, max_size=30)


@settings(deadline=None)
@given(
    own=SIZES,
    others=st.dictionaries(st.sampled_from("abcd"), SIZES, max_size=4),
    long_files=st.dictionaries(st.sampled_from("abcdo"), st.integers(1, 20), max_size=5),
    data=st.data(),
)
def test_the_estimated_position_is_within_a_few_tasks_of_the_models(
    own: list[int], others: dict[str, list[int]], long_files: dict[str, int], data: st.DataObject
) -> None:
    """A job's size in bytes is its cost here. Long files come first, as chunks of 600."""
    jobs = {**others, "o": own}
    ahead = data.draw(st.integers(0, len(own) - 1))
    backlogs = [backlog(one, jobs.get(one, []), long_files.get(one, 0)) for one in jobs.keys() | long_files.keys()]
    position = Backlogs(backlogs).position("o", ahead, sum(own[:ahead]))
    bytes_before = started_before(jobs, long_files, ahead)
    assert abs(position.bytes_ahead - bytes_before) <= 2 * 600 * len(backlogs)


def backlog(tenant: str, sizes: list[int], chunks: int) -> Backlog:
    return Backlog(tenant=tenant, jobs=len(sizes), bytes=sum(sizes), chunk_bytes=600 * chunks)


def started_before(jobs: dict[str, list[int]], long_files: dict[str, int], ahead: int) -> int:
    """Return the bytes that the model starts before a job of tenant "o" and the jobs ahead of it have all started.

    A short job may fill what is left of a gap before longer jobs ahead of it: it starts earlier than estimated.
    """
    model = FairQueue()
    for tenant, chunks in long_files.items():
        model.put([Dispatch(new_id(), 1, TaskKind.CHUNK, tenant, 600) for _ in range(chunks)])
    prepares = {one: [Dispatch(new_id(), 1, TaskKind.PREPARE, one, size) for size in jobs[one]] for one in jobs}
    for dispatches in prepares.values():
        model.put(dispatches)
    costs = Counter({one.arq_id: one.cost_s for dispatches in prepares.values() for one in dispatches})
    left, before = {one.arq_id for one in prepares["o"][: ahead + 1]}, 0
    while left:
        taken = model.take()
        assert taken is not None
        left.discard(taken)
        before += (costs[taken] or 600) if left else 0
    return before
