"""Waits for what other processes bring about: no event of ours tells of it, so it is looked for."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

LOOK_EVERY_S = 0.05

Condition = Callable[[], object | Awaitable[object]]


async def came_about(condition: Condition, *, within_s: float) -> bool:
    """Whether a condition came true in time; it may be a coroutine function."""
    clock = asyncio.get_running_loop().time
    give_up_at_s = clock() + within_s
    while not await _is_so(condition):
        if clock() > give_up_at_s:
            return False
        await asyncio.sleep(LOOK_EVERY_S)
    return True


async def until(condition: Condition, *, within_s: float) -> None:
    """Return when a condition is true; TimeoutError when it does not become so."""
    if not await came_about(condition, within_s=within_s):
        raise TimeoutError(f"it did not come about within {within_s:.0f} s")


async def _is_so(condition: Condition) -> object:
    answer = condition()
    return await answer if inspect.isawaitable(answer) else answer
