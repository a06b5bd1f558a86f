"""A supervised process: it is restarted one second after it ends, until it is stopped."""

import asyncio
import signal
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.local.data_dir import write_private
from deploy.local.processes import Processes
from deploy.local.terminal import say

RESTART_AFTER_S = 1.0


@dataclass(frozen=True)
class Program:
    """A program to keep running, and how to stop it."""

    name: str
    start: Callable[[], Awaitable[Process]]
    pid_file: Path
    wait_until_ready: Callable[[Process], Awaitable[None]] | None = None  # for the first start only
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 10.0


class Supervised:
    """A program under supervision. Only its keeper task starts and ends processes, so none starts during a stop."""

    def __init__(self, program: Program, processes: Processes) -> None:
        self._program = program
        self._processes = processes
        self._stopping = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it and return when it is ready. A failure of the first start is raised."""
        process = await self._spawn()
        try:
            if self._program.wait_until_ready is not None:
                await self._program.wait_until_ready(process)
        except BaseException:
            await self._end(process)
            raise
        self._keeper = asyncio.create_task(self._keep(process))

    async def stop(self) -> None:
        """Stop the process and its restarts."""
        self._stopping.set()
        if self._keeper is not None:
            await self._keeper

    async def _keep(self, process: Process) -> None:
        while await self._died(process):
            await self._processes.kill_remaining(process)
            self._program.pid_file.unlink(missing_ok=True)
            say(f"{self._program.name} ended ({_exit_reason(process)}); restarting it")
            if await self._stops_within(RESTART_AFTER_S):
                return
            process = await self._respawn(process)
        await self._end(process)

    async def _respawn(self, dead: Process) -> Process:
        """Return a new process, or the dead one if none can be started; the keeper then retries."""
        try:
            return await self._spawn()
        except OSError as error:
            say(f"cannot start {self._program.name}: {error.strerror}")
            return dead

    async def _spawn(self) -> Process:
        process = await self._program.start()
        try:
            write_private(self._program.pid_file, f"{process.pid}\n")
        except OSError:
            await self._end(process)
            raise
        return process

    async def _end(self, process: Process) -> None:
        await self._processes.end(process, self._program.stop_signal, self._program.grace_s)
        self._program.pid_file.unlink(missing_ok=True)

    async def _died(self, process: Process) -> bool:
        """Wait until the process ends or a stop is requested. Return whether it ended first."""
        end = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((end, stopping), return_when=asyncio.FIRST_COMPLETED)
        for task in (end, stopping):
            task.cancel()
        return not self._stopping.is_set()

    async def _stops_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True


def _exit_reason(process: Process) -> str:
    code = process.returncode or 0
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
