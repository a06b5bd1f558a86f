"""The queue's order: fair shares between and within tenants. The script runs on a real Valkey; the work is simulated.

The bound of start-time fair queuing: over any interval in which two tenants wait, their work differs by at most one
task of each. `spread_of` is the part of one tenant.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from arq.worker import func
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from processor_service.tasks.arq_worker import PollingWorker, connect
from shared.ids import new_id
from shared.queue.dispatch import ARQ_FUNCTION, COMPUTE_QUEUE, DELIVERY_QUEUE, Dispatch
from shared.queue.enqueue import BATCH, enqueue
from shared.queue.fair_shares import (
    MAX_SCORE,
    MIN_SCORE,
    VIRTUAL_TIME_KEY,
    correct_cost,
    take,
    taken_key,
    wake_key,
)
from shared.queue.task_costs import FINISH_S, LONGEST_WHOLE_S, UNKNOWN_S, cost_s
from shared.schemas.states import TaskKind
from tests.support.processor.fleet import Fleet, Taken, spread_of, work_of

CHUNK_S = 600
TEN_HOURS = [CHUNK_S] * 60
SLOTS = 8


@pytest_asyncio.fixture
async def fleet(redis_url: str) -> AsyncIterator[Fleet]:
    async with Redis.from_url(redis_url) as redis:
        yield Fleet(redis)


async def a_hundred_tenants(fleet: Fleet) -> dict[str, list[int]]:
    """Enqueue a thousand files of one tenant, ten hours of another, then the rest. Return each tenant's costs in s."""
    dice = random.Random(7)
    jobs = {"thousand": [dice.randint(5, 300) for _ in range(1000)], "ten_hours": TEN_HOURS}
    for number in range(98):
        jobs[f"tenant-{number}"] = [dice.randint(5, LONGEST_WHOLE_S) for _ in range(dice.randint(1, 10))]
    for tenant, costs_s in jobs.items():
        await fleet.enqueue_new(tenant, costs_s, TaskKind.CHUNK if tenant == "ten_hours" else TaskKind.PREPARE)
    return jobs


async def test_no_tenant_deviates_from_its_share_by_more_than_its_longest_task(fleet: Fleet) -> None:
    jobs = await a_hundred_tenants(fleet)
    await fleet.work(SLOTS)
    assert work_of(fleet.taken) == {tenant: sum(costs_s) for tenant, costs_s in jobs.items()}
    assert {tenant: costs for tenant, costs in jobs.items() if spread_of(fleet.taken, tenant) > max(costs)} == {}
    tags = [one.tag for one in fleet.taken]
    assert tags == sorted(tags)


async def test_a_tenants_only_file_starts_before_another_tenant_starts_two(fleet: Fleet) -> None:
    await a_hundred_tenants(fleet)
    await fleet.work(SLOTS, 300)
    (only,) = await fleet.enqueue_new("newcomer", [LONGEST_WHOLE_S])
    await fleet.work(SLOTS, 100)
    began = [one.dispatch for one in fleet.taken[300:]]
    before = Counter(one.tenant for one in began[: began.index(only)])
    assert max(before.values(), default=0) <= 1


async def test_an_idle_tenant_saves_no_share(fleet: Fleet) -> None:
    """Unused shares expire: a late tenant gets its share from its arrival on."""
    await fleet.enqueue_new("early", [60] * 200)
    await fleet.work(SLOTS, 100)
    await fleet.enqueue_new("late", [60] * 50)
    await fleet.work(SLOTS, 60)
    assert work_of(fleet.taken[100:]) == {"early": 1800, "late": 1800}


async def test_all_slots_work_on_one_file_if_no_other_waits(fleet: Fleet) -> None:
    chunks = await fleet.enqueue_new("alone", TEN_HOURS, TaskKind.CHUNK)
    assert [await fleet.take() for _ in range(60)] == chunks
    assert await fleet.take() is None


async def test_short_jobs_are_not_stuck_behind_a_ten_hour_file_of_their_own_tenant(fleet: Fleet) -> None:
    await fleet.enqueue_new("tenant", TEN_HOURS, TaskKind.CHUNK)
    await fleet.enqueue_new("other", [60] * 600)
    await fleet.work(SLOTS, 40)
    short = await fleet.enqueue_new("tenant", [60] * 100)
    await fleet.work(SLOTS)
    later = [one for one in fleet.taken[40:] if one.dispatch.tenant == "tenant"]
    assert later.index(Taken(short[0], later[0].tag)) == 0
    began = work_by_kind(later[: 1 + max(position for position, one in enumerate(later) if one.dispatch in short)])
    assert began[TaskKind.PREPARE] == 6000
    assert abs(began[TaskKind.CHUNK] - 6000) <= 2 * CHUNK_S  # half for the short jobs, half for the file
    assert [one.dispatch for one in later if one.dispatch in short] == short
    assert spread_of(fleet.taken, "tenant") <= CHUNK_S + 60
    assert spread_of(fleet.taken, "other") <= 60


def work_by_kind(taken: list[Taken]) -> dict[TaskKind, int]:
    work: dict[TaskKind, int] = defaultdict(int)
    for one in taken:
        work[one.dispatch.kind] += one.dispatch.cost_s
    return work


async def test_two_long_files_of_a_tenant_alternate(fleet: Fleet) -> None:
    first = await fleet.enqueue_new("tenant", TEN_HOURS, TaskKind.CHUNK)
    second = await fleet.enqueue_new("tenant", [CHUNK_S] * 4, TaskKind.CHUNK)
    await fleet.work(1, 8)
    began = [one.dispatch for one in fleet.taken]
    assert {one for one in began if one in second} == set(second)
    assert len([one for one in began if one in first]) == 4


async def test_a_finish_does_not_wait_again(fleet: Fleet) -> None:
    await a_hundred_tenants(fleet)
    await fleet.work(SLOTS, 200)
    (finish,) = await fleet.enqueue_new("thousand", [FINISH_S], TaskKind.FINISH)
    assert await fleet.take() == finish
    await fleet.work(SLOTS, 200)
    assert spread_of(fleet.taken, "thousand") <= 300 + FINISH_S


async def test_the_cost_of_a_finish_delays_the_tenants_next_task(fleet: Fleet) -> None:
    await fleet.enqueue_new("a", [FINISH_S], TaskKind.FINISH)
    (following,) = await fleet.enqueue_new("a", [60])
    assert await fleet.redis.zscore(COMPUTE_QUEUE, following.arq_id) == MIN_SCORE + FINISH_S


async def test_only_a_waiting_chunk_moves_back(fleet: Fleet) -> None:
    running, waiting, *_ = await fleet.enqueue_new("a", TEN_HOURS, TaskKind.CHUNK)
    assert await fleet.take() == running
    await fleet.enqueue_new("a", [60])
    assert await fleet.redis.zscore(COMPUTE_QUEUE, running.arq_id) is None
    assert await fleet.redis.zscore(COMPUTE_QUEUE, waiting.arq_id) == MIN_SCORE + sum(TEN_HOURS)


async def test_enqueuing_again_changes_neither_order_nor_cost(fleet: Fleet) -> None:
    dispatches = await fleet.enqueue_new("a", [60] * 5)
    order = await fleet.redis.zrange(COMPUTE_QUEUE, 0, -1, withscores=True)
    await fleet.enqueue(dispatches)
    assert await fleet.redis.zrange(COMPUTE_QUEUE, 0, -1, withscores=True) == order
    await fleet.work(1, 3)
    repeated = msgspec.structs.replace(dispatches[4], dispatch_no=2)  # dispatched again, as by reconcile
    await fleet.enqueue([repeated])
    assert await fleet.redis.zscore(COMPUTE_QUEUE, repeated.arq_id) == order[4][1]
    (last,) = await fleet.enqueue_new("a", [60])
    assert await fleet.redis.zscore(COMPUTE_QUEUE, last.arq_id) == order[4][1] + 60


async def test_a_retry_precedes_the_backlog_without_cost(fleet: Fleet) -> None:
    backlog = await fleet.enqueue_new("a", [60] * 5)
    await fleet.enqueue_new("b", [60] * 5)
    first = await fleet.take()
    assert first == backlog[0]
    await fleet.work(1, 6)
    again = msgspec.structs.replace(first, dispatch_no=2, has_begun=True)
    await fleet.enqueue([again])
    assert await fleet.take() == again
    assert spread_of([one for one in fleet.taken if one.dispatch != again], "a") <= 60


async def test_retries_for_a_failing_endpoint_do_not_delay_others(fleet: Fleet) -> None:
    failing = [Dispatch(new_id(), 2, TaskKind.DELIVER, "down", 1, has_begun=True) for _ in range(100)]
    await fleet.enqueue(failing)
    healthy = Dispatch(new_id(), 1, TaskKind.DELIVER, "up")
    await fleet.enqueue([healthy])
    assert await fleet.redis.zrank(DELIVERY_QUEUE, healthy.arq_id) <= 1


async def test_after_redis_lost_its_data_shares_restart_and_no_task_is_lost(fleet: Fleet) -> None:
    jobs = await a_hundred_tenants(fleet)
    await fleet.work(SLOTS, 200)
    left = [one for one in fleet.known if one not in {taken.dispatch for taken in fleet.taken}]
    await fleet.redis.flushall()
    again = Fleet(fleet.redis)
    await again.enqueue([msgspec.structs.replace(one, dispatch_no=2) for one in left])
    await again.work(SLOTS)
    assert len(again.taken) == len(left) == sum(map(len, jobs.values())) - 200
    tenants = {one.tenant for one in left}
    assert [tenant for tenant in tenants if spread_of(again.taken, tenant) > max(jobs[tenant])] == []


async def test_no_state_is_kept_for_tenants_without_tasks(fleet: Fleet) -> None:
    for tenant in ("a", "b", "c"):
        await fleet.enqueue_new(tenant, TEN_HOURS, TaskKind.CHUNK)
        await fleet.enqueue_new(tenant, [60] * 3)
    await fleet.work(SLOTS)
    await fleet.enqueue_new("next", [60])
    await fleet.enqueue_new("next", [60])
    kept = {key.decode() for key in await fleet.redis.keys("headrace:*")}
    assert kept == {VIRTUAL_TIME_KEY, f"headrace:tails:{COMPUTE_QUEUE}", *queue_keys()}
    assert await fleet.redis.zrange(f"headrace:tails:{COMPUTE_QUEUE}", 0, -1) == [b"next"]


def queue_keys() -> set[str]:
    """The keys of a queue that was used in the last minute and is not empty."""
    return {taken_key(COMPUTE_QUEUE), wake_key(COMPUTE_QUEUE)}


async def test_every_score_is_valid_for_arq(fleet: Fleet) -> None:
    """arq treats 0 as no score, and scores beyond its clock as deferred."""
    (first,) = await fleet.enqueue_new("a", [60])
    assert await fleet.redis.zscore(COMPUTE_QUEUE, first.arq_id) == MIN_SCORE
    await fleet.enqueue_new("a", [MAX_SCORE] * 2)
    scores = [score for _, score in await fleet.redis.zrange(COMPUTE_QUEUE, 0, -1, withscores=True)]
    assert max(scores) == MAX_SCORE
    await fleet.redis.zadd(COMPUTE_QUEUE, {"first.1": MAX_SCORE + 1, "not due.1": 2**52})
    assert len(await take(fleet.redis, COMPUTE_QUEUE, 9)) == 4
    assert await fleet.virtual_time() == MAX_SCORE  # the score beyond it is not ours
    (again,) = await fleet.enqueue_new("a", [60], has_begun=True)
    assert await fleet.redis.zscore(COMPUTE_QUEUE, again.arq_id) >= 1


async def test_virtual_time_restarts_at_the_maximum(fleet: Fleet) -> None:
    await fleet.enqueue_new("a", [MAX_SCORE, 60])
    await fleet.work(1)
    (first, second) = await fleet.enqueue_new("a", [60, 60])
    assert await fleet.take() == first
    assert await fleet.take() == second
    assert await fleet.virtual_time() == MIN_SCORE + 60


KINDS = (TaskKind.PREPARE, TaskKind.CHUNK)
ENQUEUES = st.tuples(st.sampled_from("abcd"), st.sampled_from(KINDS), st.integers(1, 900), st.integers(1, 8))
TAKES = st.integers(1, 12)


@pytest.mark.fuzz
def test_any_order_of_arrivals_is_fair(redis_url: str) -> None:
    with asyncio.Runner() as runner:

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(ENQUEUES | TAKES, max_size=40))
        def holds(events: list[Any]) -> None:
            runner.run(expect_fair(redis_url, events))

        holds()


async def expect_fair(redis_url: str, events: list[Any]) -> None:
    """Enqueue and take in order. Assert: each task is taken once, virtual time never decreases, shares are fair."""
    longest_s = max((event[2] for event in events if isinstance(event, tuple)), default=0)
    dispatches: list[Dispatch] = []
    async with Redis.from_url(redis_url) as redis:
        await redis.flushall()
        fleet = Fleet(redis)
        watch = Watch(fleet, 2 * longest_s)
        for event in events:
            if isinstance(event, tuple):
                tenant, kind, cost, times = event
                dispatches += await fleet.enqueue_new(tenant, [cost] * times, kind)
                await watch.enqueue_new(tenant, times)
            else:
                for _ in range(event):
                    await watch.taken(await fleet.take())
        while dispatch := await fleet.take():
            await watch.taken(dispatch)
    assert sorted(one.dispatch.arq_id for one in fleet.taken) == sorted(one.arq_id for one in dispatches)


class Watch:
    """For each waiting tenant: the virtual time since when it waits, and its work started since."""

    def __init__(self, fleet: Fleet, bound_s: int) -> None:
        self._fleet = fleet
        self._bound_s = bound_s
        self._now = 0
        self._waiting: Counter[str] = Counter()
        self._since: dict[str, int] = {}
        self._work: Counter[str] = Counter()

    async def enqueue_new(self, tenant: str, times: int) -> None:
        self._now = await self._fleet.virtual_time()
        if not self._waiting[tenant]:
            self._since[tenant], self._work[tenant] = self._now, 0
        self._waiting[tenant] += times

    async def taken(self, dispatch: Dispatch | None) -> None:
        now = await self._fleet.virtual_time()
        assert now >= self._now
        self._now = now
        if dispatch is None:
            return
        for tenant, waiting in self._waiting.items():
            if waiting:  # it waited until now
                due = now - self._since[tenant]
                assert abs(self._work[tenant] - due) <= self._bound_s
        self._waiting[dispatch.tenant] -= 1
        self._work[dispatch.tenant] += dispatch.cost_s


async def test_a_real_worker_takes_another_tenants_file_next(redis_url: str) -> None:
    taken: list[str] = []
    other = Dispatch(new_id(), 1, TaskKind.PREPARE, "other", 60)

    async def run_task(_context: dict[Any, Any], task_id: str, _dispatch_no: int) -> None:
        taken.append(task_id)
        if len(taken) == 5:
            await enqueue(pool, [other])

    async with Redis.from_url(redis_url) as pool:
        await enqueue(pool, [Dispatch(new_id(), 1, TaskKind.PREPARE, "thousand", 60) for _ in range(1000)])
        worker = one_slot(redis_url, run_task, tasks=20)
        await worker.main()
        await worker.close()
        assert taken.index(str(other.task_id)) == 5
        virtual_time = await pool.zscore(VIRTUAL_TIME_KEY, COMPUTE_QUEUE)
        assert virtual_time == MIN_SCORE + (len(taken) - 2) * 60  # the worker advanced virtual time


async def test_a_real_worker_postpones_the_tasks_of_a_tenant_that_owes(redis_url: str) -> None:
    """Its tasks wait already, at a guess of one second each; the first turns out to last hours."""
    hostile = [Dispatch(new_id(), 1, TaskKind.PREPARE, "hostile", 1) for _ in range(50)]
    honest = [Dispatch(new_id(), 1, TaskKind.PREPARE, "honest", 60) for _ in range(10)]
    taken: list[str] = []

    async def run_task(_context: dict[Any, Any], task_id: str, _dispatch_no: int) -> None:
        taken.append(task_id)
        if task_id == str(hostile[0].task_id):
            await correct_cost(pool, COMPUTE_QUEUE, "hostile", 10_000)

    async with Redis.from_url(redis_url) as pool:
        await enqueue(pool, hostile)
        await enqueue(pool, honest)
        worker = one_slot(redis_url, run_task, tasks=60)
        await worker.main()
        await worker.close()

    assert len(taken) >= 59
    assert {str(one.task_id) for one in (hostile[0], *honest)} == set(taken[:11])


def one_slot(redis_url: str, run_task: Any, *, tasks: int) -> PollingWorker:
    """Return a worker as in `processor_service.tasks.arq_worker`, which ends after about `tasks` tasks."""
    return PollingWorker(
        functions=[func(run_task, name=ARQ_FUNCTION)],
        queues=[COMPUTE_QUEUE],
        redis_pool=connect(redis_url),
        burst=True,
        max_burst_jobs=tasks,
        max_jobs=1,
        handle_signals=False,
        poll_delay=5,
    )


@pytest.mark.parametrize(
    ("kind", "facts", "cost"),
    [
        (TaskKind.DELIVER, {}, 1),
        (TaskKind.FINISH, {"duration_s": 36000.0}, FINISH_S),
        (TaskKind.CHUNK, {"duration_s": 36000.0, "chunk_count": 60}, 600),
        (TaskKind.PREPARE, {}, UNKNOWN_S),
        (TaskKind.PREPARE, {"source_bytes": 10, "container": "mp3"}, 1),
        (TaskKind.PREPARE, {"source_bytes": 1_200_000, "container": "mp3"}, 100),
        (TaskKind.PREPARE, {"source_bytes": 6_400_000, "container": "wav"}, 100),
        (TaskKind.PREPARE, {"source_bytes": 10, "container": "wav", "duration_s": 61.5}, 62),
        (TaskKind.PREPARE, {"source_bytes": 5 << 30, "container": "wav"}, LONGEST_WHOLE_S),
    ],
)
def test_what_a_task_costs(kind: TaskKind, facts: dict[str, Any], cost: int) -> None:
    assert cost_s(kind, **facts) == cost


async def test_a_backlog_is_enqueued_in_several_batches(fleet: Fleet) -> None:
    await fleet.enqueue_new("a", [1] * (2 * BATCH + 1))
    assert await fleet.redis.zcard(COMPUTE_QUEUE) == 2 * BATCH + 1
