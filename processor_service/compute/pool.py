"""The worker's pool of compute children: one warm child a slot.

A child that died, hung or was interrupted is replaced.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

from processor_service.audio.scratch_files import WriteLimits
from processor_service.compute.child_process import ComputeChild, OnReply, R
from processor_service.compute.messages import Request, Warm
from processor_service.compute.resource_limits import TimeLimit, cpu_allowance_s
from processor_service.errors import ChildCrashError, PermanentError, TransientError
from processor_service.telemetry.metrics import CHILD_RESTARTS, count_answer
from processor_service.telemetry.traces import note_answer
from shared.telemetry.logs import Log

log = Log(__name__)

RESTART_WAIT_S = 1.0


Exchange = Callable[[ComputeChild], Awaitable[ComputeChild]]


class Slot:
    """A warm child for one task, with the number of threads it may use."""

    def __init__(self, child: ComputeChild, *, threads: int, most_threads: int, exchange: Exchange) -> None:
        self.child = child
        self.threads = threads
        self._most_threads = most_threads  # what libraries with their own thread pools may start
        self._exchange = exchange

    async def ask(
        self,
        request: Request,
        expected: type[R],
        *,
        time_limit: TimeLimit,
        writes: WriteLimits,
        on_reply: OnReply | None = None,
    ) -> R:
        """As ComputeChild.ask. A child that died between requests is replaced; it is not a crash of the task."""
        if not self.child.is_alive:
            self.child = await self._exchange(self.child)
        cpu_s = cpu_allowance_s(time_limit, self._most_threads)
        began_s = time.perf_counter()
        reply = await self.child.ask(
            request, expected, time_limit=time_limit, cpu_s=cpu_s, writes=writes, on_reply=on_reply
        )
        took_s = time.perf_counter() - began_s
        count_answer(request, reply, took_s)
        note_answer(request, took_s)
        return reply


class ComputePool:
    """As many warm children as there are slots."""

    def __init__(  # noqa: PLR0913 - what a child may use
        self,
        warm: Warm,
        *,
        slots: int,
        threads: int,
        scratch: Path,
        readable: Sequence[Path] = (),
        writable: Sequence[Path] = (),
    ) -> None:
        """`readable`, `writable`: the paths that the children can open besides programs and `scratch`."""
        self.slots = slots
        self.busy = 0  # slots in use
        self._threads = threads
        self._start = partial(
            ComputeChild.start, warm, threads=threads, scratch=scratch, readable=readable, writable=writable
        )
        self._idle: asyncio.Queue[ComputeChild] = asyncio.Queue()
        self._children: set[ComputeChild] = set()
        self._restarts: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start and warm all children. Raises ChildCrashError, PermanentError or TransientError."""
        for child in await asyncio.gather(*(self._start_child() for _ in range(self.slots))):
            self._idle.put_nowait(child)

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[Slot]:
        """Wait for a free warm child and hold it for a block. A dead child is replaced in the background."""
        child = await self._living_child()
        self.busy += 1
        share = max(1, self._threads // self.busy)
        slot = Slot(child, threads=share, most_threads=self._threads, exchange=self._exchanged)
        try:
            yield slot
        finally:
            self.busy -= 1
            self._give_back(slot.child)

    def process_ids(self) -> list[int]:
        """Return the process ids of the living children."""
        return [child.pid for child in self._children if child.is_alive]

    async def stop(self) -> None:
        """Kill every child and wait until they ended."""
        for restart in self._restarts:
            restart.cancel()
        await asyncio.gather(*self._restarts, return_exceptions=True)
        await asyncio.gather(*(child.kill() for child in self._children))

    async def _living_child(self) -> ComputeChild:
        while not (child := await self._idle.get()).is_alive:
            self._give_back(child)
        return child

    async def _exchanged(self, dead: ComputeChild) -> ComputeChild:
        self._give_back(dead)
        return await self._living_child()

    def _give_back(self, child: ComputeChild) -> None:
        if child.is_alive:
            self._idle.put_nowait(child)
        elif child in self._children:  # else it is being replaced already
            self._children.discard(child)
            restart = asyncio.create_task(self._replace(child))
            self._restarts.add(restart)
            restart.add_done_callback(self._restarts.discard)

    async def _replace(self, dead: ComputeChild) -> None:
        CHILD_RESTARTS.inc()
        await dead.kill()
        while True:
            try:
                self._idle.put_nowait(await self._start_child())
            except (ChildCrashError, PermanentError, TransientError, OSError) as error:
                log.error("compute_child_failed_to_start", error=str(error))
                await asyncio.sleep(RESTART_WAIT_S)
            else:
                return

    async def _start_child(self) -> ComputeChild:
        child = await self._start()
        self._children.add(child)
        log.info("compute_child_warm", pid=child.pid)
        if child.missing:
            log.warning("compute_child_not_isolated", pid=child.pid, missing=", ".join(child.missing))
        return child
