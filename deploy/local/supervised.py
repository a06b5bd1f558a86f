"""A process that is kept running: started again a second after it died, until it is told to stop."""

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
    """What is kept running, and how it is stopped."""

    name: str
    start: Callable[[], Awaitable[Process]]
    pid_file: Path
    wait_until_ready: Callable[[Process], Awaitable[None]] | None = None  # for the first start only
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 10.0


class Supervised:
    """One program under supervision. Only its keeper task touches the process, so nothing is started while stopping."""

    def __init__(self, program: Program, processes: Processes) -> None:
        self._program = program
        self._processes = processes
        self._stopping = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it for the first time, and return when it is ready; a failure is raised, not repaired."""
        process = await self._spawn()
        try:
            if self._program.wait_until_ready is not None:
                await self._program.wait_until_ready(process)
        except BaseException:
            await self._end(process)
            raise
        self._keeper = asyncio.create_task(self._keep(process))

    async def stop(self) -> None:
        """Stop it and forget it."""
        self._stopping.set()
        if self._keeper is not None:
            await self._keeper

    async def _keep(self, process: Process) -> None:
        while await self._died(process):
            await self._processes.bury(process)
            self._program.pid_file.unlink(missing_ok=True)
            say(f"{self._program.name} ended ({_how(process)}); starting it again")
            if await self._told_to_stop_within(RESTART_AFTER_S):
                return
            process = await self._spawn_at_last(process)
        await self._end(process)

    async def _spawn_at_last(self, dead: Process) -> Process:
        """The next process, or the dead one again when the machine cannot start any now: that counts as a death."""
        try:
            return await self._spawn()
        except OSError as error:
            say(f"{self._program.name} cannot be started: {error.strerror}")
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
        """Wait until the process ends or is to be stopped; whether it ended first."""
        end = asyncio.create_task(process.wait())
        told = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((end, told), return_when=asyncio.FIRST_COMPLETED)
        for task in (end, told):
            task.cancel()
        return not self._stopping.is_set()

    async def _told_to_stop_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True


def _how(process: Process) -> str:
    code = process.returncode or 0
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
