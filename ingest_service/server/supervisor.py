"""Several serving processes on one port: the parent starts them, starts a dead one again, passes on the order to stop.

It serves nothing itself. Each process has a listening socket of its own, which stays open here while a dead one is
replaced, so that nobody is refused meanwhile. A process whose parent is gone sees its standard input end, and stops.
"""

import asyncio
import os
import resource
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from contextlib import suppress

from shared.telemetry.logs import Log

log = Log(__name__)


# Takes the port: one listening socket for each process that serves.

BACKLOG = 2048  # connections that wait to be taken, of each socket


class CannotStartError(Exception):
    """One sentence for whoever started the process."""


def bind(host: str, port: int) -> socket.socket:
    """The listening socket, or CannotStartError when it cannot be had."""
    return _bound(host, port, shared=False)


def bind_each(host: str, port: int, processes: int) -> list[socket.socket]:
    """A listening socket for each process on the one port; CannotStartError when it cannot be had.

    With SO_REUSEPORT the kernel deals the connections out among the sockets by their addresses. Processes that wait at
    one and the same socket would not share them: who wakes first takes all that came, and keeps them while they live.
    """
    alone = bind(host, port)  # without the option, so that a port which somebody else serves is refused
    if processes == 1:
        return [alone]
    port = alone.getsockname()[1]
    if sys.platform != "linux":  # others have the option, but deal nothing out
        return [alone] * processes
    alone.close()
    return [_bound(host, port, shared=True) for _ in range(processes)]


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)  # two processes may bind; only one may listen
    except OSError as error:
        listener.close()
        raise CannotStartError(f"cannot listen on {host} port {port}: {os.strerror(error.errno or 0)}") from error
    return listener


# Lets the process have as many connections as the system allows; the custom is 1,024 open files.


ENOUGH = 1 << 20  # where the system names no limit: some refuse to set none


def allow_open_files() -> None:
    """Raise the soft limit of open files to the hard one; processes started later inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else hard
    with suppress(ValueError, OSError):  # macOS caps it elsewhere, too; then the limit stays as it is
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        log.debug("open_files_allowed", before=soft, now=wanted)


CANNOT_START = 2  # exit status of a process that has said why on standard error; another one would say the same
RESTART_AFTER_S = 1.0
REMIND_EVERY_S = 1.0  # a signal that comes in the middle of a start may get lost
KILL_AFTER_S = 35.0  # longer than a process takes to let its uploads finish


async def supervise(listeners: Sequence[socket.socket], environ: Mapping[str, str]) -> int:
    """Keep one process for each socket until SIGTERM or SIGINT comes and all have ended; the exit status.

    They get our environment with `environ` added.
    """
    supervisor = _Supervisor({**os.environ, **environ})
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    await asyncio.gather(*(supervisor.keep(listener) for listener in listeners))
    return supervisor.status


class _Supervisor:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self.status = 0
        self._environ = environ
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        self._stopping.set()

    async def keep(self, listener: socket.socket) -> None:
        """Have a process serve a socket until we are told to stop, or it cannot start."""
        while not self._stopping.is_set():
            process = await _start(listener, self._environ)
            await self._ended_or_told(process)
            if process.returncode is None:
                listener.close()  # what comes now is refused
                await _end(process)
            elif process.returncode == CANNOT_START:
                self.status = CANNOT_START
                self.stop()
            elif not self._stopping.is_set():
                log.error("process_died", died=process.pid, status=process.returncode, again_in_s=RESTART_AFTER_S)
                await self._told_within(RESTART_AFTER_S)

    async def _ended_or_told(self, process: Process) -> None:
        tasks = [asyncio.create_task(process.wait()), asyncio.create_task(self._stopping.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()

    async def _told_within(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


async def _start(listener: socket.socket, environ: Mapping[str, str]) -> Process:
    command = (sys.executable, "-m", "ingest_service", "--listener", str(listener.fileno()))
    return await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, pass_fds=(listener.fileno(),), env=environ
    )


async def _end(process: Process) -> None:
    """Tell a process to stop until it does; one that takes too long is killed."""
    with suppress(TimeoutError):
        async with asyncio.timeout(KILL_AFTER_S):
            while process.returncode is None:
                process.terminate()
                with suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), REMIND_EVERY_S)
    if process.returncode is None:
        log.error("process_killed", killed=process.pid, after_s=KILL_AFTER_S)
        process.kill()
        await process.wait()
