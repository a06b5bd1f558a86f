"""The pool of compute children as the worker sees it: one a slot, warm before it is handed out.

A child that dies, hangs or is interrupted is killed with its whole process group and replaced.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from processor_service.compute.messages import (
    HEADER,
    ChunkWritten,
    Progress,
    Reply,
    Request,
    RequestFailed,
    Warm,
    decode_reply,
    frame,
)
from processor_service.failures import ChildCrashError, PermanentError, TransientError
from shared.logs import Log

log = Log(__name__)

RESTART_WAIT_S = 1.0
# What a child may know of its surroundings. Settings and secrets are not among it.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "PYTHONPATH")

OnReply = Callable[[Reply], Awaitable[None]]


class ComputeChild:
    """One child process; `ask` sends a request and returns the answer."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, warm: Warm, *, threads: int) -> "ComputeChild":
        """Start a child and wait until its model is warm."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "processor_service.compute.child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            env=_child_environment(threads),
        )
        child = cls(process)
        try:
            await child.ask(warm)
        except BaseException:
            await child.kill()
            raise
        return child

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, request: Request, on_reply: OnReply | None = None) -> Reply:
        """Send a request; replies before the last go to `on_reply`.

        Raises PermanentError or TransientError as the child says, ChildCrashError when it dies. When this is
        cancelled, the child is in mid-request and must be killed.
        """
        try:
            self._stdin.write(frame(request))
            await self._stdin.drain()
            while True:
                reply = await self._read()
                if isinstance(reply, RequestFailed):
                    raise _raised(reply)
                if not _is_interim(reply):
                    return reply
                if on_reply is not None:
                    await on_reply(reply)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            status = await self._process.wait()
            raise ChildCrashError(f"the compute child ended with status {status}") from error

    async def kill(self) -> None:
        """End the child and whatever it started, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    @property
    def _stdin(self) -> asyncio.StreamWriter:
        assert self._process.stdin is not None  # noqa: S101 - piped at start
        return self._process.stdin

    async def _read(self) -> Reply:
        assert self._process.stdout is not None  # noqa: S101 - piped at start
        header = await self._process.stdout.readexactly(HEADER.size)
        return decode_reply(await self._process.stdout.readexactly(HEADER.unpack(header)[0]))


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


def _is_interim(reply: Reply) -> bool:
    return isinstance(reply, Progress | ChunkWritten)


def _raised(reply: RequestFailed) -> PermanentError | TransientError:
    error = (TransientError if reply.transient else PermanentError)(reply.code, reply.message)
    error.add_note(reply.traceback)
    return error


def _child_environment(threads: int) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [inherited.get("PYTHONPATH")])]
    return inherited | {
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",  # waiting threads sleep, so that busy slots do not steal from each other
        "MALLOC_ARENA_MAX": "2",  # one arena a thread keeps freed chunks of audio resident
    }
