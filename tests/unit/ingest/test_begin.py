"""`run_first_step` behaves like `await`."""

import asyncio

import pytest

from ingest_service.uploads.body import run_first_step


async def _at_once() -> str:
    return "here"


async def _after(event: asyncio.Event, events: list[str]) -> str:
    try:
        await event.wait()
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        events.append("cancelled")
        raise
    finally:
        events.append("ended")
    return "came"


async def test_an_awaitable_that_does_not_wait_finishes_in_its_first_step() -> None:
    assert run_first_step(_at_once()) == (True, "here")


async def test_an_awaitable_that_waits_continues_when_awaited() -> None:
    event, events = asyncio.Event(), list[str]()
    is_ready, rest = run_first_step(_after(event, events))
    assert (is_ready, events) == (False, [])
    event.set()
    assert await rest == "came"
    assert events == ["ended"]


async def test_a_timeout_reaches_the_awaitable() -> None:
    events = list[str]()
    _, rest = run_first_step(_after(asyncio.Event(), events))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await rest
    assert events == ["cancelled", "ended"]


async def test_an_error_in_the_first_step_is_raised() -> None:
    async def fail() -> None:
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        run_first_step(fail())
