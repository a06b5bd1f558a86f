"""The workers of several Redis share the slots of a processor fairly, and jobs that clients wait for go first."""

import asyncio
from collections import Counter

import pytest

from processor_service.tasks.shared_slots import Demand, Look, SharedSlots, shares


def waiting(interactive: int = 0, tenants: int = 1) -> Look:
    async def look() -> Demand:
        return Demand(interactive=interactive, tenants=tenants)

    return look


def test_slots_are_shared_by_the_number_of_tenants() -> None:
    assert shares(8, {"a": Demand(tenants=3), "b": Demand(tenants=1)}, {}) == {"a": 6, "b": 2}


def test_interactive_tasks_go_first_and_the_rest_is_shared() -> None:
    demands = {"a": Demand(tenants=9), "b": Demand(interactive=2), "c": Demand()}
    assert shares(2, demands, {"b": 100.0}) == {"b": 2}
    assert shares(4, demands, {"b": 100.0})["b"] == 2


def test_an_earlier_queue_goes_first_in_whichever_redis() -> None:
    assert shares(2, {"a": Demand(queue=1, interactive=2), "b": Demand(queue=0)}, {"b": 9.0}) == {"b": 2}


def test_what_was_served_before_counts() -> None:
    assert shares(1, {"a": Demand(), "b": Demand()}, {"a": 5.0, "b": 4.0}) == {"b": 1}
    assert shares(0, {"a": Demand()}, {}) == {}
    assert shares(3, {}, {}) == {}


async def test_a_single_redis_gets_all_free_slots_at_once() -> None:
    slots = SharedSlots(4)
    assert await slots.reserve("a", waiting()) == 4
    slots.use("a", 3)
    slots.give_back(1)
    assert await slots.reserve("a", waiting()) == 1


async def test_what_one_redis_does_not_fill_another_gets() -> None:
    slots = SharedSlots(4)
    assert await slots.reserve("a", waiting()) == 4
    other = asyncio.create_task(slots.reserve("b", waiting()))
    await asyncio.sleep(0)
    slots.use("a", 1)
    slots.give_back(3)
    assert await other == 3


@pytest.mark.parametrize(("tenants", "expected"), [((1, 1), (30, 30)), ((1, 2), (20, 40)), ((5, 1), (50, 10))])
async def test_slots_that_become_free_one_by_one_are_shared_in_the_long_run(
    tenants: tuple[int, int], expected: tuple[int, int]
) -> None:
    slots, served = SharedSlots(1), Counter[str]()

    async def work(name: str, of_tenants: int) -> None:
        while served.total() < 60:
            count = await slots.reserve(name, waiting(tenants=of_tenants))
            slots.use(name, count)
            served[name] += count
            await asyncio.sleep(0)  # the task runs
            slots.give_back(count)

    workers = [asyncio.create_task(work(name, of)) for name, of in zip("ab", tenants, strict=True)]
    await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
    for worker in workers:
        worker.cancel()
    assert abs(served["a"] - expected[0]) <= 2
    assert abs(served["b"] - expected[1]) <= 2


async def test_a_redis_without_tasks_saves_nothing_up() -> None:
    slots = SharedSlots(1)
    for _ in range(50):
        slots.use("a", await slots.reserve("a", waiting()))
        slots.give_back(1)
    assert await slots.reserve("a", waiting()) == 1
    slots.use("a", 1)
    order = []
    for _ in range(6):
        claims = {name: asyncio.create_task(slots.reserve(name, waiting())) for name in "ab"}
        await asyncio.sleep(0)
        slots.give_back(1)
        (done,), _ = await asyncio.wait(claims.values(), return_when=asyncio.FIRST_COMPLETED)
        (name,) = [name for name, claim in claims.items() if claim is done]
        slots.use(name, 1)
        order.append(name)
        for claim in claims.values():
            claim.cancel()
        await asyncio.wait(claims.values())
    assert Counter(order) == {"a": 3, "b": 3}


async def test_a_cancelled_claim_loses_no_slot() -> None:
    slots = SharedSlots(1)
    await slots.reserve("a", waiting())
    claim = asyncio.create_task(slots.reserve("b", waiting()))
    await asyncio.sleep(0)
    slots.give_back(1)
    for _ in range(3):
        await asyncio.sleep(0)  # the slot is granted, the claim not resumed
        claim.cancel()
    await asyncio.wait([claim])
    if not claim.cancelled():
        slots.give_back(claim.result())
    assert slots.free == 1
