"""Poll for changes by other processes, which send us no event."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

POLL_INTERVAL_S = 0.05

Condition = Callable[[], object | Awaitable[object]]


async def became_true(condition: Condition, *, within_s: float) -> bool:
    """Return whether a condition, perhaps a coroutine function, became true in time."""
    clock = asyncio.get_running_loop().time
    give_up_at_s = clock() + within_s
    while not await _evaluate(condition):
        if clock() > give_up_at_s:
            return False
        await asyncio.sleep(POLL_INTERVAL_S)
    return True


async def until(condition: Condition, *, within_s: float) -> None:
    """Wait until a condition is true. Raise TimeoutError if it does not become true in time."""
    if not await became_true(condition, within_s=within_s):
        raise TimeoutError(f"the condition did not become true within {within_s:.0f} s")


async def _evaluate(condition: Condition) -> object:
    answer = condition()
    return await answer if inspect.isawaitable(answer) else answer
