"""What runs beside a block ends with it, whatever its cancel meets."""

import asyncio

import pytest

from shared import run_beside as module
from shared.run_beside import run_beside


async def test_it_runs_meanwhile_and_is_over_afterwards() -> None:
    heard = list[str]()

    async def beside() -> None:
        heard.append("runs")
        try:
            await asyncio.Event().wait()
        finally:
            heard.append("ends")

    async with run_beside(beside()):
        await asyncio.sleep(0)
        assert heard == ["runs"]
    assert heard == ["runs", "ends"]


async def test_one_that_loses_a_cancel_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_AFTER_S", 0.01)
    lost = list[str]()

    async def beside() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            lost.append("a cancel")
        await asyncio.Event().wait()

    async with run_beside(beside()):
        await asyncio.sleep(0)
    assert lost == ["a cancel"]


async def test_an_error_of_its_own_is_told_at_the_end() -> None:
    async def beside() -> None:
        raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        async with run_beside(beside()):
            await asyncio.sleep(0)


async def test_the_blocks_own_error_comes_first() -> None:
    async def beside() -> None:
        raise LookupError("broken")

    async def block() -> None:
        async with run_beside(beside()):
            await asyncio.sleep(0)
            raise ValueError("the block's")

    with pytest.raises(ValueError, match="the block's"):
        await block()
