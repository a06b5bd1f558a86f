"""The pool of compute children as the worker sees it: one a slot, warm before it is handed out.

A child that died, hangs or was interrupted is killed and replaced.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from processor_service.compute.child_process import ComputeChild, OnReply
from processor_service.compute.messages import Reply, Request, Warm
from processor_service.failures import ChildCrashError, PermanentError, TransientError
from shared.logs import Log

log = Log(__name__)

RESTART_WAIT_S = 1.0


class Slot:
    """A warm child for the length of one task, with the share of the machine it may use."""

    def __init__(self, child: ComputeChild, threads: int) -> None:
        self._child = child
        self.threads = threads
        self.is_spoiled = False  # in mid-request or dead: not to be handed out again

    async def ask(self, request: Request, *, timeout_s: float, on_reply: OnReply | None = None) -> Reply:
        """As ComputeChild.ask, but raises TimeoutError when it takes too long."""
        self.is_spoiled = True
        async with asyncio.timeout(timeout_s):
            try:
                reply = await self._child.ask(request, on_reply)
            except (PermanentError, TransientError):
                self.is_spoiled = False
                raise
        self.is_spoiled = False
        return reply


class ComputePool:
    """As many warm children as there are slots."""

    def __init__(self, warm: Warm, *, slots: int, threads: int) -> None:
        self._warm = warm
        self._slots = slots
        self._threads = threads
        self._idle: asyncio.Queue[ComputeChild] = asyncio.Queue()
        self._children: set[ComputeChild] = set()
        self._restarts: set[asyncio.Task[None]] = set()
        self._busy = 0

    async def start(self) -> None:
        """Start and warm all children; raises ChildCrashError, PermanentError or TransientError when one cannot."""
        for child in await asyncio.gather(*(self._start_child() for _ in range(self._slots))):
            self._idle.put_nowait(child)

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[Slot]:
        """A warm child of one's own; waits until one is free. A spoiled one is replaced in the background."""
        child = await self._idle.get()
        self._busy += 1
        slot = Slot(child, threads=max(1, self._threads // self._busy))
        try:
            yield slot
        finally:
            self._busy -= 1
            if slot.is_spoiled or not child.is_alive:
                self._replace(child)
            else:
                self._idle.put_nowait(child)

    async def stop(self) -> None:
        """Kill every child and wait for their end."""
        for restart in self._restarts:
            restart.cancel()
        await asyncio.gather(*self._restarts, return_exceptions=True)
        await asyncio.gather(*(child.kill() for child in self._children))

    def _replace(self, child: ComputeChild) -> None:
        restart = asyncio.create_task(self._restart(child))
        self._restarts.add(restart)
        restart.add_done_callback(self._restarts.discard)

    async def _restart(self, child: ComputeChild) -> None:
        await child.kill()
        self._children.discard(child)
        while True:
            try:
                self._idle.put_nowait(await self._start_child())
            except (ChildCrashError, PermanentError, TransientError, OSError) as error:
                log.error("compute_child_failed_to_start", error=str(error))
                await asyncio.sleep(RESTART_WAIT_S)
            else:
                return

    async def _start_child(self) -> ComputeChild:
        child = await ComputeChild.start(self._warm, threads=self._threads)
        self._children.add(child)
        log.info("compute_child_warm", pid=child.pid)
        return child
