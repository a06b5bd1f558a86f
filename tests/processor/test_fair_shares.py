"""The queue's order: fair shares between tenants, and within one. The real script on a real Valkey, simulated work.

The bound of start-time fair queuing: of two tenants that both wait, neither is ahead of the other, over any stretch of
time, by more than one task of each. `spread_of` is one tenant's part of it.
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
from shared.queue.dispatch import ARQ_FUNCTION, COMPUTE_QUEUE, DELIVERY_QUEUE, Dispatch, deserialize, serialize
from shared.queue.enqueue import BATCH, enqueue
from shared.queue.fair_shares import MAX_SCORE, MIN_SCORE, VIRTUAL_TIME_KEY, advance_virtual_time
from shared.queue.task_costs import FINISH_S, LONGEST_WHOLE_S, UNKNOWN_S, cost_s
from shared.schemas.states import TaskKind
from tests.processor.fleet import Fleet, Taken, spread_of, work_of

CHUNK_S = 600
TEN_HOURS = [CHUNK_S] * 60
SLOTS = 8


@pytest_asyncio.fixture
async def fleet(redis_url: str) -> AsyncIterator[Fleet]:
    async with Redis.from_url(redis_url) as redis:
        yield Fleet(redis)


async def a_hundred_tenants(fleet: Fleet) -> dict[str, list[int]]:
    """One with a thousand files and one with ten hours come before all others; what each has to be done, in seconds."""
    dice = random.Random(7)
    jobs = {"thousand": [dice.randint(5, 300) for _ in range(1000)], "ten_hours": TEN_HOURS}
    for number in range(98):
        jobs[f"tenant-{number}"] = [dice.randint(5, LONGEST_WHOLE_S) for _ in range(dice.randint(1, 10))]
    for tenant, costs_s in jobs.items():
        await fleet.rung(tenant, costs_s, TaskKind.CHUNK if tenant == "ten_hours" else TaskKind.PREPARE)
    return jobs


async def test_of_a_hundred_tenants_none_is_off_its_share_by_more_than_its_longest_task(fleet: Fleet) -> None:
    jobs = await a_hundred_tenants(fleet)
    await fleet.work(SLOTS)
    assert work_of(fleet.taken) == {tenant: sum(costs_s) for tenant, costs_s in jobs.items()}
    assert {tenant: costs for tenant, costs in jobs.items() if spread_of(fleet.taken, tenant) > max(costs)} == {}
    tags = [one.tag for one in fleet.taken]
    assert tags == sorted(tags)


async def test_a_tenants_only_file_begins_before_any_other_tenant_begins_two(fleet: Fleet) -> None:
    await a_hundred_tenants(fleet)
    await fleet.work(SLOTS, 300)
    (only,) = await fleet.rung("newcomer", [LONGEST_WHOLE_S])
    await fleet.work(SLOTS, 100)
    began = [one.dispatch for one in fleet.taken[300:]]
    before = Counter(one.tenant for one in began[: began.index(only)])
    assert max(before.values(), default=0) <= 1


async def test_who_was_away_has_saved_nothing_up(fleet: Fleet) -> None:
    """A share that was not used is gone: those who come late get theirs from then on."""
    await fleet.rung("early", [60] * 200)
    await fleet.work(SLOTS, 100)
    await fleet.rung("late", [60] * 50)
    await fleet.work(SLOTS, 60)
    assert work_of(fleet.taken[100:]) == {"early": 1800, "late": 1800}


async def test_all_slots_work_on_one_file_when_nobody_else_waits(fleet: Fleet) -> None:
    chunks = await fleet.rung("alone", TEN_HOURS, TaskKind.CHUNK)
    assert [await fleet.take() for _ in range(60)] == chunks
    assert await fleet.take() is None


async def test_short_jobs_are_not_stuck_behind_a_ten_hour_file_of_their_own_tenant(fleet: Fleet) -> None:
    await fleet.rung("tenant", TEN_HOURS, TaskKind.CHUNK)
    await fleet.rung("other", [60] * 600)
    await fleet.work(SLOTS, 40)
    short = await fleet.rung("tenant", [60] * 100)
    await fleet.work(SLOTS)
    later = [one for one in fleet.taken[40:] if one.dispatch.tenant == "tenant"]
    assert later.index(Taken(short[0], later[0].tag)) == 0
    began = work_by_kind(later[: 1 + max(place for place, one in enumerate(later) if one.dispatch in short)])
    assert began[TaskKind.PREPARE] == 6000
    assert abs(began[TaskKind.CHUNK] - 6000) <= 2 * CHUNK_S  # half for the shorts, half for the file
    assert [one.dispatch for one in later if one.dispatch in short] == short
    assert spread_of(fleet.taken, "tenant") <= CHUNK_S + 60
    assert spread_of(fleet.taken, "other") <= 60


def work_by_kind(taken: list[Taken]) -> dict[TaskKind, int]:
    work: dict[TaskKind, int] = defaultdict(int)
    for one in taken:
        work[one.dispatch.kind] += one.dispatch.cost_s
    return work


async def test_a_second_long_file_of_a_tenant_takes_turns_with_the_first(fleet: Fleet) -> None:
    first = await fleet.rung("tenant", TEN_HOURS, TaskKind.CHUNK)
    second = await fleet.rung("tenant", [CHUNK_S] * 4, TaskKind.CHUNK)
    await fleet.work(1, 8)
    began = [one.dispatch for one in fleet.taken]
    assert {one for one in began if one in second} == set(second)
    assert len([one for one in began if one in first]) == 4


async def test_a_file_whose_chunks_are_done_does_not_wait_again(fleet: Fleet) -> None:
    await a_hundred_tenants(fleet)
    await fleet.work(SLOTS, 200)
    (finish,) = await fleet.rung("thousand", [FINISH_S], TaskKind.FINISH)
    assert await fleet.take() == finish
    await fleet.work(SLOTS, 200)
    assert spread_of(fleet.taken, "thousand") <= 300 + FINISH_S


async def test_a_finish_is_paid_for_by_what_its_tenant_rings_for_next(fleet: Fleet) -> None:
    await fleet.rung("a", [FINISH_S], TaskKind.FINISH)
    (following,) = await fleet.rung("a", [60])
    assert await fleet.redis.zscore(COMPUTE_QUEUE, following.arq_id) == MIN_SCORE + FINISH_S


async def test_only_a_chunk_that_waits_makes_room(fleet: Fleet) -> None:
    running, waiting, *_ = await fleet.rung("a", TEN_HOURS, TaskKind.CHUNK)
    assert await fleet.take() == running
    await fleet.rung("a", [60])
    assert await fleet.redis.zscore(COMPUTE_QUEUE, running.arq_id) == MIN_SCORE
    assert await fleet.redis.zscore(COMPUTE_QUEUE, waiting.arq_id) == MIN_SCORE + sum(TEN_HOURS)


async def test_ringing_again_changes_neither_place_nor_debt(fleet: Fleet) -> None:
    rung = await fleet.rung("a", [60] * 5)
    order = await fleet.redis.zrange(COMPUTE_QUEUE, 0, -1, withscores=True)
    await fleet.enqueue(rung)
    assert await fleet.redis.zrange(COMPUTE_QUEUE, 0, -1, withscores=True) == order
    await fleet.work(1, 3)
    anew = msgspec.structs.replace(rung[4], dispatch_no=2)  # found stuck, and dispatched anew
    await fleet.enqueue([anew])
    assert await fleet.redis.zscore(COMPUTE_QUEUE, anew.arq_id) == order[4][1]
    (last,) = await fleet.rung("a", [60])
    assert await fleet.redis.zscore(COMPUTE_QUEUE, last.arq_id) == order[4][1] + 60


async def test_an_attempt_after_the_first_goes_before_the_backlog_and_costs_nothing(fleet: Fleet) -> None:
    backlog = await fleet.rung("a", [60] * 5)
    await fleet.rung("b", [60] * 5)
    first = await fleet.take()
    assert first == backlog[0]
    await fleet.work(1, 6)
    again = msgspec.structs.replace(first, dispatch_no=2, has_begun=True)
    await fleet.enqueue([again])
    assert await fleet.take() == again
    assert spread_of([one for one in fleet.taken if one.dispatch != again], "a") <= 60


async def test_an_endpoint_that_is_down_does_not_stand_before_those_that_are_not(fleet: Fleet) -> None:
    failing = [Dispatch(new_id(), 2, TaskKind.DELIVER, "down", 1, has_begun=True) for _ in range(100)]
    await fleet.enqueue(failing)
    healthy = Dispatch(new_id(), 1, TaskKind.DELIVER, "up")
    await fleet.enqueue([healthy])
    assert await fleet.redis.zrank(DELIVERY_QUEUE, healthy.arq_id) <= 1


async def test_after_redis_was_wiped_shares_begin_anew_and_nothing_is_lost(fleet: Fleet) -> None:
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


async def test_nothing_is_kept_of_tenants_that_were_served(fleet: Fleet) -> None:
    for tenant in ("a", "b", "c"):
        await fleet.rung(tenant, TEN_HOURS, TaskKind.CHUNK)
        await fleet.rung(tenant, [60] * 3)
    await fleet.work(SLOTS)
    await fleet.rung("next", [60])
    await fleet.rung("next", [60])
    kept = {key.decode() for key in await fleet.redis.keys("headrace:*")}
    assert kept == {VIRTUAL_TIME_KEY, f"headrace:tails:{COMPUTE_QUEUE}"}
    assert await fleet.redis.zrange(f"headrace:tails:{COMPUTE_QUEUE}", 0, -1) == [b"next"]


async def test_every_tag_is_one_that_arq_takes(fleet: Fleet) -> None:
    """It takes a 0 for no score, and what its clock has not reached for deferred."""
    (first,) = await fleet.rung("a", [60])
    assert await fleet.redis.zscore(COMPUTE_QUEUE, first.arq_id) == MIN_SCORE
    await fleet.rung("a", [MAX_SCORE] * 2)
    scores = [score for _, score in await fleet.redis.zrange(COMPUTE_QUEUE, 0, -1, withscores=True)]
    assert max(scores) == MAX_SCORE
    await advance_virtual_time(fleet.redis, COMPUTE_QUEUE, MAX_SCORE + 1)
    assert await fleet.virtual_time() == MIN_SCORE
    (again,) = await fleet.rung("a", [60], has_begun=True)
    assert await fleet.redis.zscore(COMPUTE_QUEUE, again.arq_id) >= 1


async def test_when_time_has_run_out_it_begins_anew(fleet: Fleet) -> None:
    await fleet.rung("a", [MAX_SCORE, 60])
    await fleet.work(1)
    (first, second) = await fleet.rung("a", [60, 60])
    assert await fleet.take() == first
    assert await fleet.take() == second
    assert await fleet.virtual_time() == MIN_SCORE + 60


KINDS = (TaskKind.PREPARE, TaskKind.CHUNK)
RINGS = st.tuples(st.sampled_from("abcd"), st.sampled_from(KINDS), st.integers(1, 900), st.integers(1, 8))
TAKES = st.integers(1, 12)


@pytest.mark.fuzz
def test_no_order_of_arrivals_is_unfair(redis_url: str) -> None:
    with asyncio.Runner() as runner:

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(RINGS | TAKES, max_size=40))
        def holds(events: list[Any]) -> None:
            runner.run(expect_fair(redis_url, events))

        holds()


async def expect_fair(redis_url: str, events: list[Any]) -> None:
    """Ring and take as it comes: all is taken once, virtual time never goes back, and who waits gets its share."""
    longest_s = max((event[2] for event in events if isinstance(event, tuple)), default=0)
    rung: list[Dispatch] = []
    async with Redis.from_url(redis_url) as redis:
        await redis.flushall()
        fleet = Fleet(redis)
        watch = Watch(fleet, 2 * longest_s)
        for event in events:
            if isinstance(event, tuple):
                tenant, kind, cost, times = event
                rung += await fleet.rung(tenant, [cost] * times, kind)
                await watch.rung(tenant, times)
            else:
                for _ in range(event):
                    await watch.taken(await fleet.take())
        while dispatch := await fleet.take():
            await watch.taken(dispatch)
    assert sorted(one.dispatch.arq_id for one in fleet.taken) == sorted(one.arq_id for one in rung)


class Watch:
    """Of each tenant that waits: since which virtual time, and what it had begun since."""

    def __init__(self, fleet: Fleet, bound_s: int) -> None:
        self._fleet = fleet
        self._bound_s = bound_s
        self._now = 0
        self._waiting: Counter[str] = Counter()
        self._since: dict[str, int] = {}
        self._work: Counter[str] = Counter()

    async def rung(self, tenant: str, times: int) -> None:
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
            if waiting:  # it waited until this moment
                due = now - self._since[tenant]
                assert abs(self._work[tenant] - due) <= self._bound_s
        self._waiting[dispatch.tenant] -= 1
        self._work[dispatch.tenant] += dispatch.cost_s


async def test_a_real_worker_takes_the_other_tenants_file_next(redis_url: str) -> None:
    heard: list[str] = []
    other = Dispatch(new_id(), 1, TaskKind.PREPARE, "other", 60)

    async def run_task(_context: dict[Any, Any], task_id: str, _dispatch_no: int) -> None:
        heard.append(task_id)
        if len(heard) == 5:
            await enqueue(pool, [other])

    async with Redis.from_url(redis_url) as pool:
        await enqueue(pool, [Dispatch(new_id(), 1, TaskKind.PREPARE, "thousand", 60) for _ in range(1000)])
        worker = one_slot(redis_url, run_task, tasks=20)
        await worker.main()
        await worker.close()
        assert heard.index(str(other.task_id)) == 5
        virtual_time = await pool.zscore(VIRTUAL_TIME_KEY, COMPUTE_QUEUE)
        assert virtual_time == MIN_SCORE + (len(heard) - 2) * 60  # the worker told how far it came


def one_slot(redis_url: str, run_task: Any, *, tasks: int) -> PollingWorker:
    """As `processor_service.tasks.arq_worker` makes it, but that it ends after about so many tasks."""
    return PollingWorker(
        functions=[func(run_task, name=ARQ_FUNCTION)],
        queue_name=COMPUTE_QUEUE,
        redis_pool=connect(redis_url),
        burst=True,
        max_burst_jobs=tasks,
        max_jobs=1,
        handle_signals=False,
        keep_result=0,
        poll_delay=0.01,
        job_serializer=serialize,
        job_deserializer=deserialize,
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


async def test_a_backlog_is_rung_for_in_more_than_one_batch(fleet: Fleet) -> None:
    await fleet.rung("a", [1] * (2 * BATCH + 1))
    assert await fleet.redis.zcard(COMPUTE_QUEUE) == 2 * BATCH + 1
