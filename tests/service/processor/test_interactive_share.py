"""The interactive class goes before the backlog within its share; no tenant gains by it; the backlog never starves."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from shared.ids import new_id
from shared.queue.dispatch import COMPUTE_QUEUE, Dispatch
from shared.queue.enqueue import enqueue
from shared.queue.fair_queue import FairQueue
from shared.queue.fair_shares import (
    INTERACTIVE_AHEAD_S,
    MAX_LOOKED_AT,
    VIRTUAL_TIME_KEY,
    correct_cost,
    credit_rate,
)
from shared.queue.task_costs import FINISH_S
from shared.schemas.states import TaskKind
from tests.service.processor.test_fair_shares import (
    CHUNK_S,
    SLOTS,
    TEN_HOURS,
    a_hundred_tenants,
    one_slot,
    queue_keys,
)
from tests.support.processor.fleet import Fleet, Taken, spread_of


@pytest_asyncio.fixture
async def fleet(redis_url: str) -> AsyncIterator[Fleet]:
    async with Redis.from_url(redis_url) as redis:
        yield Fleet(redis)


def tasks(tenant: str, costs_s: Sequence[int], kind: TaskKind = TaskKind.PREPARE, **more: Any) -> list[Dispatch]:
    return [Dispatch(new_id(), 1, kind, tenant, cost_s, **more) for cost_s in costs_s]


def work(taken: Sequence[Taken], **of: object) -> int:
    """The seconds of audio of the tasks with these attributes."""
    return sum(
        one.dispatch.cost_s for one in taken if all(getattr(one.dispatch, name) == value for name, value in of.items())
    )


async def test_an_interactive_task_is_taken_before_every_backlog(fleet: Fleet) -> None:
    await a_hundred_tenants(fleet)
    await fleet.work(SLOTS, 200)
    for tenant in ("thousand", "ten_hours", "newcomer"):
        (urgent,) = await fleet.enqueue_new(tenant, [60], interactive=True)
        assert await fleet.take() == urgent


async def test_a_busy_fleet_starts_it_in_the_first_free_slot(fleet: Fleet) -> None:
    """It waits for the end of one running task, however many wait."""
    await fleet.enqueue_new("backlog", [600] * 100)
    for _ in range(SLOTS):
        await fleet.take()
    (urgent,) = await fleet.enqueue_new("other", [11], interactive=True)
    fleet.end(fleet.taken[0].dispatch.arq_id)
    assert await fleet.take() == urgent


async def test_its_scores_are_valid_for_arq_and_below_all_others(fleet: Fleet) -> None:
    """arq reads a score of 0 as none."""
    await fleet.enqueue_new("a", [60] * 3, interactive=True)
    await fleet.enqueue_new("a", [60] * 3)
    scores = [score for _, score in await fleet.redis.zrange(COMPUTE_QUEUE, 0, -1, withscores=True)]
    assert [score < 0 for score in scores] == [True] * 3 + [False] * 3


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
async def test_under_full_load_each_class_gets_its_share(redis_url: str, share: float) -> None:
    async with Redis.from_url(redis_url) as redis:
        fleet = Fleet(redis, share)
        for number in range(5):
            await fleet.enqueue_new(f"backlog-{number}", [120] * 200)
        for number in range(20):
            await fleet.enqueue_new(f"client-{number}", [15] * 400, interactive=True)
        await fleet.work(SLOTS, 400)
    interactive = work(fleet.taken, interactive=True)
    total = work(fleet.taken)
    assert abs(interactive - share * total) <= (1 - share) * (INTERACTIVE_AHEAD_S + 120)


class Ledger:
    """The seconds that started in each class while the backlog waited."""

    def __init__(self, share: float) -> None:
        self.rate = credit_rate(share)
        self.excess_s = 0.0  # of interactive work over its share, in the worst period that ends now
        self.worst_s = 0.0

    def started(self, dispatch: Dispatch) -> None:
        change = dispatch.cost_s if dispatch.interactive else -self.rate * dispatch.cost_s
        self.excess_s = max(0.0, self.excess_s + change)
        self.worst_s = max(self.worst_s, self.excess_s)


COSTS = st.lists(st.integers(1, 1800), min_size=1, max_size=12)
ARRIVALS = st.tuples(st.sampled_from("abcd"), st.sampled_from([TaskKind.PREPARE, TaskKind.CHUNK]), COSTS, st.booleans())


@pytest.mark.fuzz
@settings(max_examples=300, deadline=None)
@given(st.lists(ARRIVALS | st.integers(1, 12), min_size=1, max_size=40), st.sampled_from([0.1, 0.5, 0.75]))
def test_in_every_period_the_backlog_gets_its_share_but_for_one_task(steps: list[Any], share: float) -> None:
    """A period is any in which the backlog waits. The one task is the longest, or a chunk."""
    model, ledger = FairQueue(share), Ledger(share)
    known: dict[str, Dispatch] = {}
    waiting: Counter[bool] = Counter()
    longest_s = INTERACTIVE_AHEAD_S
    for step in [*steps, 10_000]:
        if isinstance(step, tuple):
            tenant, kind, costs_s, interactive = step
            new = tasks(tenant, costs_s, kind, interactive=interactive)
            known |= {one.arq_id: one for one in new}
            waiting[interactive] += len(new)
            longest_s = max(longest_s, *costs_s)
            model.put(new)
            continue
        for _ in range(step):
            if (name := model.take()) is None:
                break
            if waiting[False]:  # it waited until now
                ledger.started(known[name])
            else:
                ledger.excess_s = 0.0
            waiting[known[name].interactive] -= 1
            model.end(name)
    assert waiting.total() == 0
    assert ledger.worst_s <= longest_s + 1e-6


async def test_a_tenant_with_both_gets_the_work_of_a_tenant_without(fleet: Fleet) -> None:
    await fleet.enqueue_new("both", [60] * 300)
    await fleet.enqueue_new("backlog", [60] * 300)
    for _ in range(20):
        await fleet.enqueue_new("both", [20] * 2, interactive=True)
        await fleet.work(1, 6)
    both, backlog = work(fleet.taken, tenant="both"), work(fleet.taken, tenant="backlog")
    assert work(fleet.taken, interactive=True) == 20 * 40
    assert abs(both - backlog) <= 120


async def test_a_tenant_that_only_waits_for_its_jobs_gets_no_more_than_the_others(fleet: Fleet) -> None:
    """Its tasks go first, until it is one chunk ahead of its share."""
    for number in range(4):
        await fleet.enqueue_new(f"backlog-{number}", [60] * 200)
    await fleet.enqueue_new("greedy", [60] * 400, interactive=True)
    await fleet.work(1, 300)
    greedy, others = work(fleet.taken, tenant="greedy"), work(fleet.taken, tenant="backlog-0")
    assert others <= greedy <= others + INTERACTIVE_AHEAD_S + 120


async def test_a_tenant_that_is_ahead_does_not_delay_another_in_the_class(fleet: Fleet) -> None:
    await fleet.enqueue_new("backlog", [60] * 600)
    await fleet.enqueue_new("backlog-2", [60] * 600)
    await fleet.enqueue_new("greedy", [60] * 400, interactive=True)
    await fleet.work(1, 100)
    (urgent,) = await fleet.enqueue_new("client", [11], interactive=True)
    await fleet.work(1, 2)
    assert urgent in [one.dispatch for one in fleet.taken[-2:]]


async def test_tenants_share_the_class(fleet: Fleet) -> None:
    await fleet.enqueue_new("thousand", [20] * 1000, interactive=True)
    await fleet.work(SLOTS, 10)
    await fleet.enqueue_new("few", [20] * 10, interactive=True)
    await fleet.work(SLOTS, 20)
    assert spread_of(fleet.taken, "few") <= 40 or Counter(one.dispatch.tenant for one in fleet.taken[10:])["few"] >= 9


async def test_capacity_that_no_other_needs_is_not_charged(fleet: Fleet) -> None:
    await fleet.enqueue_new("client", [300] * 20, interactive=True)
    await fleet.work(SLOTS)
    await fleet.enqueue_new("client", [60])
    (other,) = await fleet.enqueue_new("other", [60])
    await fleet.enqueue_new("client", [60] * 2)
    await fleet.work(1, 2)
    assert other in [one.dispatch for one in fleet.taken[-2:]]
    assert not await fleet.redis.exists(f"headrace:interactive-credit:{COMPUTE_QUEUE}")
    (urgent,) = await fleet.enqueue_new("client", [300], interactive=True)
    assert await fleet.take() == urgent


async def test_a_short_file_passes_between_the_chunks_of_its_tenants_long_one(fleet: Fleet) -> None:
    await fleet.enqueue_new("client", TEN_HOURS, TaskKind.CHUNK, interactive=True)
    await fleet.take()
    (short,) = await fleet.enqueue_new("client", [11], interactive=True)
    await fleet.work(1, 2)
    assert short in [one.dispatch for one in fleet.taken]


async def test_a_long_file_goes_before_the_backlog_at_its_tenants_share(fleet: Fleet) -> None:
    await fleet.enqueue_new("client", [60] * 600)
    await fleet.enqueue_new("other", [60] * 600)
    await fleet.enqueue_new("client", TEN_HOURS, TaskKind.CHUNK, interactive=True)
    await fleet.work(1, 200)
    chunks, others = work(fleet.taken, interactive=True), work(fleet.taken, tenant="other")
    assert chunks >= CHUNK_S
    assert work(fleet.taken, tenant="client") <= others + INTERACTIVE_AHEAD_S + 2 * CHUNK_S


async def test_the_end_of_a_file_goes_first(fleet: Fleet) -> None:
    await fleet.enqueue_new("backlog", [60] * 5)
    await fleet.enqueue_new("client", [60] * 5, interactive=True)
    await fleet.take()
    (finish,) = await fleet.enqueue_new("other", [FINISH_S], TaskKind.FINISH, interactive=True)
    assert await fleet.take() == finish


async def test_a_retry_goes_first_and_is_not_charged_again(fleet: Fleet) -> None:
    await fleet.enqueue_new("backlog", [60] * 5)
    first, *_ = await fleet.enqueue_new("client", [200] * 5, interactive=True)
    assert await fleet.take() == first
    fleet.end(first.arq_id)
    credit = await fleet.redis.get(f"headrace:interactive-credit:{COMPUTE_QUEUE}")
    assert float(credit) == INTERACTIVE_AHEAD_S - 200
    again = msgspec.structs.replace(first, dispatch_no=2, has_begun=True)
    await fleet.enqueue([again])
    assert await fleet.take() == again
    assert await fleet.redis.get(f"headrace:interactive-credit:{COMPUTE_QUEUE}") == credit


async def test_deliveries_and_fetches_have_no_class(fleet: Fleet) -> None:
    urgent = [
        msgspec.structs.replace(tasks("a", [1], TaskKind.DELIVER)[0], interactive=True),
        msgspec.structs.replace(tasks("a", [1])[0], interactive=True, to_fetch=True),
    ]
    await enqueue(fleet.redis, urgent)
    for dispatch in urgent:
        assert await fleet.redis.zscore(dispatch.queue, dispatch.arq_id) > 0


async def test_a_tenant_that_understates_the_length_of_its_files_gains_nothing(fleet: Fleet) -> None:
    """Each of its files is guessed at one second and takes two minutes."""
    for number in range(2):
        await fleet.enqueue_new(f"backlog-{number}", [60] * 300)
    hostile = await fleet.enqueue_new("hostile", [1] * 300, interactive=True)
    await fleet.enqueue_new("client", [20] * 30, interactive=True)
    work_s: Counter[str] = Counter()
    for _ in range(200):
        dispatch = await fleet.take()
        assert dispatch
        fleet.end(dispatch.arq_id)
        if dispatch in hostile:
            await correct_cost(fleet.redis, COMPUTE_QUEUE, "hostile", 119, interactive=True)
            work_s["hostile"] += 119
        work_s[dispatch.tenant] += dispatch.cost_s
    assert work_s["client"] == 600
    assert work_s["hostile"] <= work_s["backlog-0"] + INTERACTIVE_AHEAD_S + 2 * 120


async def test_after_redis_lost_its_data_the_class_is_restored_with_the_tasks(fleet: Fleet) -> None:
    await fleet.enqueue_new("backlog", [60] * 20)
    await fleet.enqueue_new("client", [20] * 5, interactive=True)
    await fleet.work(1, 3)
    left = [one for one in fleet.known if one not in {taken.dispatch for taken in fleet.taken}]
    await fleet.redis.flushall()
    again = Fleet(fleet.redis)
    await again.enqueue([msgspec.structs.replace(one, dispatch_no=2) for one in left])
    await again.work(1)
    assert [one.dispatch.interactive for one in again.taken] == [True] * 2 + [False] * 20


async def test_no_state_is_kept_for_tenants_without_tasks(fleet: Fleet) -> None:
    await fleet.enqueue_new("backlog", [60] * 40)
    for tenant in "abc":
        await fleet.enqueue_new(tenant, [60] * 5, interactive=True)
    await fleet.work(SLOTS)
    for _ in range(2):
        await fleet.enqueue_new("next", [60])
        await fleet.enqueue_new("next", [60], interactive=True)
    kept = {key.decode() for key in await fleet.redis.keys("headrace:*")}
    tails = f"headrace:tails:{COMPUTE_QUEUE}"
    credit = f"headrace:interactive-credit:{COMPUTE_QUEUE}"
    assert kept <= {VIRTUAL_TIME_KEY, tails, f"{tails}:interactive", credit, *queue_keys()}
    assert await fleet.redis.zrange(f"{tails}:interactive", 0, -1) == [b"next"]


async def test_a_real_worker_alternates_when_many_more_interactive_tasks_wait_than_it_looks_at(redis_url: str) -> None:
    taken: list[str] = []
    backlog = {str(one.task_id): one for one in tasks("backlog", [600] * 20)}

    async def run_task(_context: dict[Any, Any], task_id: str, _dispatch_no: int) -> None:
        taken.append(task_id)

    async with Redis.from_url(redis_url) as pool:
        await enqueue(pool, list(backlog.values()))
        for number in range(MAX_LOOKED_AT // 10 + 1):
            await enqueue(pool, tasks(f"client-{number}", [200] * 100, interactive=True))
        worker = one_slot(redis_url, run_task, tasks=21)
        await worker.main()
        await worker.close()
    others = [number for number, task_id in enumerate(taken[:20]) if task_id in backlog]
    assert others == [3, 7, 11, 15, 19]  # 600 s of each


def test_the_example_of_the_documentation() -> None:
    """One slot, a share of a half: the class may start a chunk at once, then each class gets the same seconds."""
    model = FairQueue()
    model.put(tasks("backlog", [60] * 40))
    clients = [one for number in range(40) for one in tasks(f"client-{number}", [60], interactive=True)]
    model.put(clients)
    names = {one.arq_id for one in clients}
    order = "".join("i" if model.take() in names else "b" for _ in range(30))
    assert order == "i" * 10 + "bi" * 10


async def test_two_workers_never_take_the_same_task(redis_url: str) -> None:
    taken: list[str] = []

    async def run_task(_context: dict[Any, Any], task_id: str, _dispatch_no: int) -> None:
        taken.append(task_id)

    async with Redis.from_url(redis_url) as pool:
        await enqueue(pool, tasks("backlog", [60] * 30))
        for number in range(10):
            await enqueue(pool, tasks(f"client-{number}", [60] * 3, interactive=True))
        workers = [one_slot(redis_url, run_task, tasks=100) for _ in range(2)]
        await asyncio.gather(*(worker.main() for worker in workers))
        for worker in workers:
            await worker.close()
    assert len(taken) == len(set(taken)) == 60
