"""What is begun at once behaves as if it had been awaited."""

import asyncio

import pytest

from ingest_service.uploads.body import begin


async def _at_once() -> str:
    return "here"


async def _after(event: asyncio.Event, heard: list[str]) -> str:
    try:
        await event.wait()
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        heard.append("cancelled")
        raise
    finally:
        heard.append("ended")
    return "came"


async def test_what_need_not_wait_is_over_at_once() -> None:
    assert begin(_at_once()) == (True, "here")


async def test_what_waits_goes_on_when_it_is_awaited() -> None:
    event, heard = asyncio.Event(), list[str]()
    is_here, begun = begin(_after(event, heard))
    assert (is_here, heard) == (False, [])
    event.set()
    assert await begun == "came"
    assert heard == ["ended"]


async def test_a_time_out_reaches_what_waits() -> None:
    heard = list[str]()
    _, begun = begin(_after(asyncio.Event(), heard))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await begun
    assert heard == ["cancelled", "ended"]


async def test_what_is_raised_at_once_is_raised() -> None:
    async def fail() -> None:
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        begin(fail())
