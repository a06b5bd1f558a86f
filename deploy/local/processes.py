"""Child processes of the local stack: each has its own session; a signal ends it, then SIGKILL.

The launcher is a child subreaper (Linux): it adopts orphaned descendants and kills them, so no process outlives it.
"""

import asyncio
import ctypes
import os
import shutil
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from deploy.local.unprivileged import as_nobody

SERVER_VARIABLES = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


class Processes:
    """Starts and ends processes. Distinguishes the children it started from adopted orphans."""

    def __init__(self, inside: Sequence[str | Path] = ()) -> None:
        """`inside`: a command prefix that runs each program in another context, such as a network namespace."""
        self._inside = [str(part) for part in inside]
        self._started: set[int] = set()
        self._forking = asyncio.Lock()  # a child that was just forked is not in `_started` yet

    async def start(  # noqa: PLR0913 - the parameters of a subprocess
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        stdin: int | None = asyncio.subprocess.DEVNULL,
        output: int | IO[bytes] | None = None,
        nobody: bool = False,
        parent_death_signal: signal.Signals = signal.SIGTERM,
    ) -> Process:
        """Start a program. `output`: both output streams, None for the terminal. `nobody`: drop root."""
        identity = as_nobody() if nobody else []
        # the kernel clears the parent-death signal when the identity changes, so it is set last
        wrapped = [*self._inside, *identity, *_with_parent_death_signal(parent_death_signal), *map(str, command)]
        async with self._forking:
            process = await asyncio.create_subprocess_exec(
                *wrapped, env=env, stdin=stdin, stdout=output, stderr=output, start_new_session=True
            )
            self._started.add(process.pid)
        return process

    async def end(self, process: Process, polite: signal.Signals, grace_s: float) -> None:
        """Send `polite`, wait at most `grace_s`, then kill the process and its descendants."""
        if process.returncode is None:
            process.send_signal(polite)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), grace_s)
        await self.kill_remaining(process)

    async def kill_remaining(self, process: Process) -> None:
        """Kill the rest of a process' group and its orphans. Idempotent."""
        if process.pid not in self._started:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        self._started.discard(process.pid)
        await self.kill_orphans()

    async def kill_orphans(self) -> None:
        """Kill adopted processes until none is left."""
        async with self._forking:
            while orphans := _children_of(os.getpid()) - self._started:
                for pid in orphans:
                    _kill(pid)


def server_environ() -> dict[str, str]:
    """Return the environment of the database servers: none of the services' settings and secrets."""
    return {name: os.environ[name] for name in SERVER_VARIABLES if name in os.environ}


def adopt_orphans() -> None:
    """Become the parent of orphaned descendants. Does nothing outside Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _with_parent_death_signal(number: signal.Signals) -> list[str]:
    if sys.platform == "linux" and shutil.which("setpriv"):
        return ["setpriv", "--pdeathsig", number.name.removeprefix("SIG"), "--"]
    return []


def _children_of(parent: int) -> set[int]:
    return {int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if _parent_of(stat) == parent}


def _parent_of(stat: Path) -> int:
    try:
        # pid (name) state parent …; the name may contain spaces and brackets
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):  # the process ended
        return -1
