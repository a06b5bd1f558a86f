"""One compute child: starts it warm, asks it, kills it with its whole process group.

A request that comes to no proper answer ends with the child dead: nobody is left behind in mid-request.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from processor_service.compute.last_words import LastWords
from processor_service.compute.launch import launch
from processor_service.compute.messages import (
    Allow,
    ChunkWritten,
    Progress,
    Ready,
    Reply,
    Request,
    RequestFailed,
    Warm,
    frame,
)
from processor_service.compute.replies import BrokenReplyError, Replies
from processor_service.compute.resource_limits import Patience, cpu_allowance_s, ended_how
from processor_service.errors import ChildCrashError, PermanentError, TransientError

WARMING_UP = Patience(600.0)  # a large model from a slow disk
ENDING_S = 2.0  # between the end of a child's pipe and its own
POLL_S = 0.005
TRACE_S = 0.5  # for a child to say where it hangs
KILL_S = 5.0  # SIGKILL takes longer only where the kernel itself hangs

OnReply = Callable[[Reply], Awaitable[None]]
R = TypeVar("R", bound=Reply)
T = TypeVar("T")


class _EndedError(Exception):
    """The child is dead, or as good as dead; the message says of it how."""


class ComputeChild:
    """One child process; `ask` sends a request and returns the answer."""

    def __init__(self, process: Process, temporary: Path) -> None:
        assert process.stdin is not None  # noqa: S101 - all three are piped by `launch`
        assert process.stdout is not None  # noqa: S101 - as above
        assert process.stderr is not None  # noqa: S101 - as above
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self._last_words = LastWords(process.stderr, process.pid)
        self._temporary = temporary
        self._is_killed = False

    @classmethod
    async def start(cls, warm: Warm, *, threads: int, scratch: Path) -> "ComputeChild":
        """Start a child and wait until its model is warm. Its temporary files lie in `scratch` and go with it."""
        temporary = Path(tempfile.mkdtemp(prefix="child-", dir=scratch))
        child = cls(await launch(threads=threads, temporary=temporary), temporary)
        try:
            await child.ask(warm, Ready, patience=WARMING_UP, cpu_s=cpu_allowance_s(WARMING_UP, threads))
        except BaseException:
            await child.kill()
            raise
        return child

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None and not self._is_killed

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(
        self, request: Request, expected: type[R], *, patience: Patience, cpu_s: int, on_reply: OnReply | None = None
    ) -> R:
        """Send a request; replies before the last go to `on_reply`, whose time is not the child's.

        Raises PermanentError or TransientError as the child says, and then it can be asked again. Raises
        ChildCrashError when it died, took too long or made no sense. After that and after any other exception, a
        cancellation too, the child and whatever it started are dead.
        """
        try:
            reply = await self._converse(request, patience, cpu_s, on_reply)
            if not isinstance(reply, (expected, RequestFailed)):
                raise BrokenReplyError(f"answered {type(request).__name__} with {type(reply).__name__}")
        except (_EndedError, BrokenReplyError) as error:
            await self._kill_group()
            last_words = await self._last_words.at_the_end()
            raise ChildCrashError(f"the compute child {error}\n{last_words}".strip()) from error
        except BaseException:
            await self._kill_group()
            raise
        if isinstance(reply, RequestFailed):
            raise _raised(reply)
        return reply

    async def kill(self) -> None:
        """End the child and whatever it started, at once. One that has died between requests left nothing running."""
        if self.is_alive:
            await self._kill_group()
        self._process._transport.close()  # type: ignore[attr-defined] # noqa: SLF001 - pipes that nobody reads to their end
        shutil.rmtree(self._temporary, ignore_errors=True)

    async def _kill_group(self) -> None:
        self._is_killed = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._status(KILL_S)

    async def _converse(self, request: Request, patience: Patience, cpu_s: int, on_reply: OnReply | None) -> Reply:
        replies, clock = Replies(self._stdout), asyncio.get_running_loop().time
        left_s = patience.total_s
        await self._within(left_s, self._send(frame(Allow(cpu_s=cpu_s)) + frame(request)))
        while True:
            asked_at = clock()
            reply = await self._within(min(left_s, patience.silence_s), replies.read())
            if not isinstance(reply, Progress | ChunkWritten):
                return reply
            left_s -= clock() - asked_at
            if on_reply is not None:
                await on_reply(reply)

    async def _send(self, frames: bytes) -> None:
        if not self.is_alive:
            raise ConnectionError
        self._stdin.write(frames)
        await self._stdin.drain()

    async def _within(self, limit_s: float, words: Awaitable[T]) -> T:
        """Words with the child, which may take its time but not more; raises _EndedError."""
        try:
            async with asyncio.timeout(limit_s):
                return await words
        except TimeoutError:
            await self._show_where_it_is()
            raise _EndedError(f"took longer than {limit_s:.0f} s and was killed") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise _EndedError(await self._how_it_ended()) from None

    async def _show_where_it_is(self) -> None:
        """Let faulthandler print what the child is doing, for the dead letter."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGABRT)
        await self._status(TRACE_S)

    async def _how_it_ended(self) -> str:
        status = await self._status(ENDING_S)
        return "closed its pipe" if status is None else ended_how(status)

    async def _status(self, within_s: float) -> int | None:
        """The exit status; None when the child still runs then.

        `Process.wait` would wait for whoever else holds its pipes, too.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._process.returncode is None:  # noqa: ASYNC110 - see above
                    await asyncio.sleep(POLL_S)
        return self._process.returncode


def _raised(reply: RequestFailed) -> PermanentError | TransientError:
    error = (TransientError if reply.transient else PermanentError)(reply.code, reply.message)
    error.add_note(reply.traceback)
    return error
