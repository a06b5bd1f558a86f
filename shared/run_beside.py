"""Runs a coroutine in the background of a block of code and cancels it at the end of the block."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

CANCEL_AGAIN_AFTER_S = 1.0


@asynccontextmanager
async def run_beside(endless: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run the coroutine while the block runs. If it failed, raise its error at the end of the block.

    Cancel it until it has ended: a client library in the middle of a timeout may lose a cancellation.
    """
    task = asyncio.create_task(endless)
    try:
        yield
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=CANCEL_AGAIN_AFTER_S)
        error = None if task.cancelled() else task.exception()
    if error is not None:
        raise error
