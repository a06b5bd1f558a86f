"""Due times in any order, on the real clock."""

import asyncio

from processor_service.maintenance.due_times import DueTimes


async def reached(due: DueTimes) -> bool:
    """Return whether a time is reached now."""
    waiting = asyncio.create_task(due.reached())
    for _ in range(3):
        await asyncio.sleep(0)
    is_done = waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    return is_done


async def test_nothing_is_due_at_first() -> None:
    assert not await reached(DueTimes())


async def test_a_passed_time_is_reached_once() -> None:
    due = DueTimes()
    due.add(-1.0)
    due.add(0.0)
    assert await reached(due)
    assert not await reached(due)


async def test_an_earlier_time_ends_the_wait_for_a_later_one() -> None:
    due = DueTimes()
    due.add(3600.0)
    waiting = asyncio.create_task(due.reached())
    await asyncio.sleep(0)
    due.add(0.0)
    await waiting
    assert not await reached(due)


async def test_what_a_look_sees_replaces_what_it_saw_before() -> None:
    due = DueTimes()
    due.see(-5.0)
    due.see(3600.0)
    assert not await reached(due)
    due.see(-5.0)
    assert await reached(due)
    due.see(None)
    assert not await reached(due)
