"""Supervise several serving processes on one port: start them, restart a dead one, and forward the signal to stop.

The supervisor serves nothing. It keeps each process's listening socket open, so that no connection is refused while a
dead process is replaced. A process stops when its standard input ends, which means that the supervisor is gone.
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

BACKLOG = 2048  # connections of each socket that wait to be accepted
UNLIMITED_OPEN_FILES = 1 << 20  # where the system has no limit; some systems refuse "unlimited"
CANNOT_START = 2  # exit status of a process that cannot start and has logged why; a restart would not help
RESTART_AFTER_S = 1.0
RESEND_EVERY_S = 1.0  # a signal that arrives during a start may be lost
KILL_AFTER_S = 35.0  # longer than the drain timeout of uploads


class CannotStartError(Exception):
    """The process cannot start. The message is one sentence for the operator."""


def bind_each(host: str, port: int, processes: int) -> list[socket.socket]:
    """Return a listening socket on the port for each process. Raise CannotStartError if the port cannot be opened.

    With SO_REUSEPORT the kernel distributes connections over the sockets. Processes that share one socket would not get
    equal shares: the process that wakes first accepts all waiting connections.
    """
    first = bind(host, port)  # without the option, so that a port in use is refused
    if processes == 1:
        return [first]
    port = first.getsockname()[1]
    if sys.platform != "linux":  # other systems have the option, but do not distribute
        return [first] * processes
    first.close()
    return [bind(host, port, shared=True) for _ in range(processes)]


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a listening socket. Raise CannotStartError if the port cannot be opened."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)  # two processes can bind, but only one can listen
    except OSError as error:
        listener.close()
        raise CannotStartError(f"cannot listen on {host} port {port}: {os.strerror(error.errno or 0)}") from error
    return listener


def allow_open_files() -> None:
    """Raise the soft limit of open files, often 1,024, to the hard limit. Child processes inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = UNLIMITED_OPEN_FILES if hard == resource.RLIM_INFINITY else hard
    with suppress(ValueError, OSError):  # macOS has another limit; then the soft limit stays
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        log.debug("open_files_limit_raised", before=soft, after=wanted)


async def supervise(listeners: Sequence[socket.socket], environ: Mapping[str, str]) -> int:
    """Run a process for each socket until SIGTERM or SIGINT. Return the exit status when all have ended.

    `environ` is the environment of the processes.
    """
    supervisor = _Supervisor(environ)
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
        """Keep a process serving a socket until the stop, or until it cannot start."""
        while not self._stopping.is_set():
            process = await _start(listener, self._environ)
            await self._wait_for_end_or_stop(process)
            if process.returncode is None:
                listener.close()  # new connections are refused
                await _end(process)
            elif process.returncode == CANNOT_START:
                self.status = CANNOT_START
                self.stop()
            elif not self._stopping.is_set():
                log.error("process_died", died=process.pid, status=process.returncode, restart_in_s=RESTART_AFTER_S)
                await self._wait_for_stop(RESTART_AFTER_S)

    async def _wait_for_end_or_stop(self, process: Process) -> None:
        tasks = [asyncio.create_task(process.wait()), asyncio.create_task(self._stopping.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()

    async def _wait_for_stop(self, timeout_s: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), timeout_s)


async def _start(listener: socket.socket, environ: Mapping[str, str]) -> Process:
    command = (sys.executable, "-m", "ingest_service", "--listener", str(listener.fileno()))
    return await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, pass_fds=(listener.fileno(),), env=environ
    )


async def _end(process: Process) -> None:
    """Send SIGTERM until the process ends. Kill it after KILL_AFTER_S."""
    with suppress(TimeoutError):
        async with asyncio.timeout(KILL_AFTER_S):
            while process.returncode is None:
                process.terminate()
                with suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), RESEND_EVERY_S)
    if process.returncode is None:
        log.error("process_killed", killed=process.pid, after_s=KILL_AFTER_S)
        process.kill()
        await process.wait()
