"""Child processes of the local stack: started in sessions of their own, ended politely, then by force.

The launcher adopts what its children leave behind (Linux' child subreaper), so that nothing outlives the stack.
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

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


class Processes:
    """Starts and ends processes, and knows which children of this one are its own and which were left to it."""

    def __init__(self, inside: Sequence[str | Path] = ()) -> None:
        """`inside`: a command that becomes the one behind it, somewhere else, such as in another network."""
        self._inside = [str(part) for part in inside]
        self._mine: set[int] = set()
        self._forking = asyncio.Lock()  # a child just forked is not in `_mine` yet, but no orphan

    async def start(  # noqa: PLR0913 - they are those of a subprocess
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        stdin: int | None = asyncio.subprocess.DEVNULL,
        output: int | IO[bytes] | None = None,
        nobody: bool = False,
        dies_with_us_by: signal.Signals = signal.SIGTERM,
    ) -> Process:
        """Start a program; `output` takes both its streams, None is the terminal; `nobody`: not as root."""
        identity = as_nobody() if nobody else []
        # the kernel forgets that signal when the identity changes, so it is set last
        wrapped = [*self._inside, *identity, *_with_parent_death_signal(dies_with_us_by), *map(str, command)]
        async with self._forking:
            process = await asyncio.create_subprocess_exec(
                *wrapped, env=env, stdin=stdin, stdout=output, stderr=output, start_new_session=True
            )
            self._mine.add(process.pid)
        return process

    async def end(self, process: Process, polite: signal.Signals, grace_s: float) -> None:
        """Stop a process and whatever it left behind; one that does not go within `grace_s` is killed."""
        if process.returncode is None:
            process.send_signal(polite)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), grace_s)
        await self.bury(process)

    async def bury(self, process: Process) -> None:
        """Kill what is left of a process' group and descendants; once is enough."""
        if process.pid not in self._mine:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        self._mine.discard(process.pid)
        await self.kill_orphans()

    async def kill_orphans(self) -> None:
        """Kill the processes that were left to us, and those they leave to us in turn."""
        async with self._forking:
            while orphans := _children_of(os.getpid()) - self._mine:
                for pid in orphans:
                    _kill(pid)


def adopt_orphans() -> None:
    """Let the kernel hand us the descendants whose parents died; nothing outside Linux."""
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
        # pid (name) state parent …; the name may hold spaces and brackets itself
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):  # it ended while we looked
        return -1
