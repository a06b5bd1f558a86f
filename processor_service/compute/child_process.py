"""One compute child: starts it, sends requests, kills it with its process group.

A request without a valid answer kills the child, so that no child remains in the middle of a request.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from processor_service.audio.scratch_files import WriteLimits
from processor_service.compute.messages import (
    Allow,
    EarlyReply,
    Ready,
    Reply,
    Request,
    RequestFailed,
    Warm,
    frame,
)
from processor_service.compute.replies import BrokenReplyError, Replies
from processor_service.compute.resource_limits import TimeLimit, cpu_allowance_s, describe_exit
from processor_service.errors import ChildCrashError, PermanentError, TransientError
from shared.telemetry.logs import Log

log = Log(__name__)

# The environment variables that a child inherits. Settings and secrets are not among them.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "PYTHONPATH", "CUDA_VISIBLE_DEVICES")
WARM_UP_LIMIT = TimeLimit(600.0)  # a large model from a slow disk
EXIT_S = 2.0  # between the end of a child's pipe and its exit
POLL_S = 0.005
TRACE_S = 0.5  # for a child to print its stack
KILL_S = 5.0  # SIGKILL takes longer only when the kernel hangs
READ_BYTES = 16 << 10
PAUSE_S = 0.05  # output within this time is one log event
LOGGED_BYTES = 64 << 10  # a child; limits output in a loop
KEPT_BYTES = 16 << 10
DRAIN_S = 1.0  # to read what a dead child left in the pipe
EXTENSION_LIST = "\nExtension modules:"  # the long list at the end of Python's crash report

NOTHING_TO_WRITE = WriteLimits(most_bytes=0)

OnReply = Callable[[Reply], Awaitable[None]]
R = TypeVar("R", bound=Reply)
T = TypeVar("T")


class _ChildEndedError(Exception):
    """The child is dead or must be killed; the message says why."""


class ComputeChild:
    """One child process. `ask` sends a request and returns the answer."""

    def __init__(self, process: Process, temporary: Path) -> None:
        assert process.stdin is not None  # noqa: S101 - all three are piped by `launch`
        assert process.stdout is not None  # noqa: S101 - as above
        assert process.stderr is not None  # noqa: S101 - as above
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self._stderr = StandardError(process.stderr, process.pid)
        self._temporary = temporary
        self._is_killed = False
        self.missing: tuple[str, ...] = ()  # what `isolation` could not do

    @classmethod
    async def start(
        cls, warm: Warm, *, threads: int, scratch: Path, readable: Sequence[Path] = (), writable: Sequence[Path] = ()
    ) -> "ComputeChild":
        """Start a child and wait until its model is warm. `kill` deletes its temporary folder in `scratch`.

        Besides programs, it can read the paths of `readable` and write to `scratch` and those of `writable`.
        """
        temporary = Path(tempfile.mkdtemp(prefix="child-", dir=scratch))
        child = cls(await launch(readable, [scratch, *writable], threads=threads, temporary=temporary), temporary)
        try:
            cpu_s = cpu_allowance_s(WARM_UP_LIMIT, threads)
            ready = await child.ask(warm, Ready, time_limit=WARM_UP_LIMIT, cpu_s=cpu_s)
        except BaseException:
            await child.kill()
            raise
        child.missing = ready.missing
        return child

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None and not self._is_killed

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(  # noqa: PLR0913 - three limits and a callback, all by name
        self,
        request: Request,
        expected: type[R],
        *,
        time_limit: TimeLimit,
        cpu_s: int,
        writes: WriteLimits = NOTHING_TO_WRITE,
        on_reply: OnReply | None = None,
    ) -> R:
        """Send a request and return its answer. Earlier replies go to `on_reply`, whose time does not count.

        Raises PermanentError or TransientError when the request failed; the child can take another request. Raises
        ChildCrashError when the child died, took too long or sent an invalid reply. After that and after any other
        exception, including cancellation, the child and its process group are dead.
        """
        self._stderr.forget()
        try:
            reply = await self._converse(request, time_limit, Allow(cpu_s=cpu_s, writes=writes), on_reply)
            if not isinstance(reply, (expected, RequestFailed)):
                raise BrokenReplyError(f"answered {type(request).__name__} with {type(reply).__name__}")
        except (_ChildEndedError, BrokenReplyError) as error:
            await self._kill_group()
            stderr = await self._stderr.tail()
            raise ChildCrashError(f"the compute child {error}\n{stderr}".strip()) from error
        except BaseException:
            await self._kill_group()
            raise
        if isinstance(reply, RequestFailed):
            raise _error_of(reply)
        return reply

    async def kill(self) -> None:
        """Kill the child and its process group. A child that died between requests left nothing running."""
        if self.is_alive:
            await self._kill_group()
        self._process._transport.close()  # type: ignore[attr-defined] # noqa: SLF001 - pipes may hold unread data
        shutil.rmtree(self._temporary, ignore_errors=True)

    async def _kill_group(self) -> None:
        self._is_killed = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._status(KILL_S)

    async def _converse(self, request: Request, time_limit: TimeLimit, allow: Allow, on_reply: OnReply | None) -> Reply:
        replies, clock = Replies(self._stdout), asyncio.get_running_loop().time
        left_s = time_limit.total_s
        await self._within(left_s, self._send(frame(allow) + frame(request)))
        while True:
            asked_at = clock()
            reply = await self._within(min(left_s, time_limit.idle_s), replies.read())
            if not isinstance(reply, EarlyReply):
                return reply
            left_s -= clock() - asked_at
            if on_reply is not None:
                await on_reply(reply)

    async def _send(self, frames: bytes) -> None:
        if not self.is_alive:
            raise ConnectionError
        self._stdin.write(frames)
        await self._stdin.drain()

    async def _within(self, limit_s: float, exchange: Awaitable[T]) -> T:
        """Await a read or write on the child's pipes. Raise _ChildEndedError on a timeout or a closed pipe."""
        try:
            async with asyncio.timeout(limit_s):
                return await exchange
        except TimeoutError:
            await self._print_stack()
            raise _ChildEndedError(f"took longer than {limit_s:.0f} s and was killed") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise _ChildEndedError(await self._describe_end()) from None

    async def _print_stack(self) -> None:
        """Let faulthandler print the child's stack, for the dead letter."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGABRT)
        await self._status(TRACE_S)

    async def _describe_end(self) -> str:
        status = await self._status(EXIT_S)
        return "closed its pipe" if status is None else describe_exit(status)

    async def _status(self, within_s: float) -> int | None:
        """Return the exit status; None when the child still runs after `within_s`.

        `Process.wait` also waits until every other process closes the pipes.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._process.returncode is None:  # noqa: ASYNC110 - see above
                    await asyncio.sleep(POLL_S)
        return self._process.returncode


def _error_of(reply: RequestFailed) -> PermanentError | TransientError:
    error = (TransientError if reply.transient else PermanentError)(reply.code, reply.message)
    error.add_note(reply.traceback)
    return error


async def launch(readable: Sequence[Path], writable: Sequence[Path], *, threads: int, temporary: Path) -> Process:
    """Start a child in its own session; it waits for requests. Its temporary files go to `temporary`."""
    paths = [os.pathsep.join(str(path.resolve()) for path in each) for each in (readable, writable)]
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # no code from the current folder
        "-m",
        "processor_service.compute.isolation",
        *paths,
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
        "NUMBA_CACHE_DIR": str(temporary),  # it holds code: no child writes what another one runs
        "LOGNAME": "headrace",  # libraries ask for a name, which the child's user may not have
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",  # idle threads sleep and leave the cores to other slots
        "MALLOC_ARENA_MAX": "2",  # one arena for each thread would keep freed audio resident
    }


class StandardError:
    """The standard error of one child: logged up to a limit; the end is kept for the dead letter.

    It is read as long as the child lives, so that the child never blocks on a full pipe.
    """

    def __init__(self, stream: asyncio.StreamReader, pid: int) -> None:
        self._pid = pid
        self._logged_bytes = 0
        self._kept = b""
        self._reading = asyncio.create_task(self._read(stream))

    def forget(self) -> None:
        """Drop what was printed for an earlier request: it may be another tenant's."""
        self._kept = b""

    async def tail(self) -> str:
        """Return the last output of a dead child."""
        await asyncio.wait([self._reading], timeout=DRAIN_S)
        return self._kept.decode(errors="replace").partition(EXTENSION_LIST)[0].strip()

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while output := await stream.read(READ_BYTES):
            self._kept = (self._kept + output)[-KEPT_BYTES:]
            self._logged_bytes += len(output)
            if self._logged_bytes <= LOGGED_BYTES:
                log.warning("compute_child_stderr", pid=self._pid, text=output.decode(errors="replace").strip())
            await asyncio.sleep(PAUSE_S)
