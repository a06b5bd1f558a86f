"""Runs coroutines in the background of a block, or beside each other, and cancels them at the end.

A client library in the middle of a timeout may lose a cancellation, so they are cancelled until they have ended.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

CANCEL_AGAIN_AFTER_S = 1.0


@asynccontextmanager
async def run_beside(endless: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run the coroutine while the block runs. If it failed, raise its error at the end of the block."""
    task = asyncio.create_task(endless)
    try:
        yield
    finally:
        await end([task])
        error = None if task.cancelled() else task.exception()
    if error is not None:
        raise error


async def run_until_first_ends(*coroutines: Coroutine[None, None, None]) -> None:
    """Run the coroutines until one ends. Raise its error."""
    tasks = [asyncio.create_task(each) for each in coroutines]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(tasks)
    for task in ended:
        task.result()


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel the tasks until they have ended. Their errors are not raised."""
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=CANCEL_AGAIN_AFTER_S)
