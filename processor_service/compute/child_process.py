"""One compute child: starts it warm, asks it, kills it with its whole process group.

A request that comes to no proper answer ends with the child dead: nobody is left behind in mid-request.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from processor_service.compute.messages import (
    HEADER,
    Allow,
    ChunkWritten,
    Progress,
    Ready,
    Reply,
    Request,
    RequestFailed,
    Warm,
    decode_reply,
    frame,
)
from processor_service.compute.resource_limits import Patience, cpu_allowance_s, ended_how
from processor_service.errors import ChildCrashError, PermanentError, TransientError
from shared.telemetry.logs import Log

# Starts the process of a compute child: in a session of its own, with pipes, knowing nothing of our surroundings.

# What a child may know of its surroundings. Settings and secrets are not among it.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "PYTHONPATH", "CUDA_VISIBLE_DEVICES")


async def launch(*, threads: int, temporary: Path) -> Process:
    """A child that waits for its first request; `temporary` is where its temporary files go."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "processor_service.compute.child",
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,
        env=_environment(threads, temporary),
    )


def _environment(threads: int, temporary: Path) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [inherited.get("PYTHONPATH")])]
    return inherited | {
        "PYTHONPATH": os.pathsep.join(paths),
        "TMPDIR": str(temporary),
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",  # waiting threads sleep, so that busy slots do not steal from each other
        "MALLOC_ARENA_MAX": "2",  # one arena a thread keeps freed chunks of audio resident
    }


# What a child says on standard error: passed on to the log, in moderation; the end of it is kept for when it dies.

log = Log(__name__)

READ_BYTES = 16 << 10
PAUSE_S = 0.05  # what is said in one breath is one event
LOGGED_BYTES = 64 << 10  # of a child; a line in a loop must not fill the log
KEPT_BYTES = 16 << 10
END_S = 1.0  # for what a dead child has left in the pipe
NOISE = "\nExtension modules:"  # the long list of names with which Python's report of a crash ends


class LastWords:
    """The standard error of one child, read as long as it lives so that it never waits for a reader."""

    def __init__(self, stream: asyncio.StreamReader, pid: int) -> None:
        self._pid = pid
        self._logged_bytes = 0
        self._kept = b""
        self._reading = asyncio.create_task(self._read(stream))

    async def at_the_end(self) -> str:
        """The last words of a child that is dead."""
        await asyncio.wait([self._reading], timeout=END_S)
        return self._kept.decode(errors="replace").partition(NOISE)[0].strip()

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while said := await stream.read(READ_BYTES):
            self._kept = (self._kept + said)[-KEPT_BYTES:]
            self._logged_bytes += len(said)
            if self._logged_bytes <= LOGGED_BYTES:
                log.warning("compute_child_said", pid=self._pid, text=said.decode(errors="replace").strip())
            await asyncio.sleep(PAUSE_S)


# Reads what a child answers to one request, and no more than a sound one would say. A broken one may send anything.

# A day of fast speech, five words a second of 120 bytes each, is 52 MB; a chunk's transcript is a hundredth of that.
MAX_BYTES = 64 << 20
MAX_REPLIES = 100_000  # a child tells of progress a few thousand times, and of each chunk once


class BrokenReplyError(Exception):
    """The child says what no sound child says."""


class Replies:
    """The replies to one request."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream
        self._left_bytes = MAX_BYTES
        self._left = MAX_REPLIES

    async def read(self) -> Reply:
        """The next one. Raises BrokenReplyError, or IncompleteReadError at the end of the stream."""
        length = HEADER.unpack(await self._stream.readexactly(HEADER.size))[0]
        self._left_bytes -= length
        self._left -= 1
        if self._left_bytes < 0 or self._left < 0:
            raise BrokenReplyError("said more than any sound child says")
        body = await self._stream.readexactly(length)
        try:
            return decode_reply(body)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise BrokenReplyError("said what is no reply") from error


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
