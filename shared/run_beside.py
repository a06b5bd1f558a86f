"""Runs a coroutine beside a block of code, and ends it with the block."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

AGAIN_AFTER_S = 1.0


@asynccontextmanager
async def run_beside(endless: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """A task for the length of a block. If it broke off by itself, its error is raised at the block's end.

    It is cancelled until it has ended: a client library in the middle of a time-out may lose a cancel.
    """
    task = asyncio.create_task(endless)
    try:
        yield
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=AGAIN_AFTER_S)
        error = None if task.cancelled() else task.exception()
    if error is not None:
        raise error
