"""A background task ends with its block, even if it suppresses a cancellation."""

import asyncio

import pytest

from shared import run_beside as module
from shared.run_beside import run_beside


async def test_the_task_runs_during_the_block_and_ends_with_it() -> None:
    events = list[str]()

    async def beside() -> None:
        events.append("runs")
        try:
            await asyncio.Event().wait()
        finally:
            events.append("ends")

    async with run_beside(beside()):
        await asyncio.sleep(0)
        assert events == ["runs"]
    assert events == ["runs", "ends"]


async def test_a_task_that_suppresses_a_cancellation_still_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CANCEL_AGAIN_AFTER_S", 0.01)
    lost = list[str]()

    async def beside() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            lost.append("cancellation")
        await asyncio.Event().wait()

    async with run_beside(beside()):
        await asyncio.sleep(0)
    assert lost == ["cancellation"]


async def test_an_error_of_the_task_is_raised_at_the_end_of_the_block() -> None:
    async def beside() -> None:
        raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        async with run_beside(beside()):
            await asyncio.sleep(0)


async def test_an_error_of_the_block_takes_precedence() -> None:
    async def beside() -> None:
        raise LookupError("broken")

    async def block() -> None:
        async with run_beside(beside()):
            await asyncio.sleep(0)
            raise ValueError("the block's")

    with pytest.raises(ValueError, match="the block's"):
        await block()
