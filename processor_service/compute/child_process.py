"""One compute child: starts it warm, asks it, kills it with its whole process group."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable
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
