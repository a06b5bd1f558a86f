"""The interface of the embedded servers, and a context manager that runs one."""

import asyncio
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from deploy.local.terminal import LocalStackError

START_TIMEOUT_S = 60.0
LOOK_EVERY_S = 0.05


class Server(Protocol):
    """A server from a package. It listens on a free loopback port and keeps it across restarts."""

    name: str
    stop_signal: signal.Signals

    @property
    def url(self) -> str:
        """Its URL, with the password."""

    async def prepare(self) -> None:
        """Create its data folder if it is missing. Raise LocalStackError."""

    async def start(self) -> Process:
        """Start its process. Returns before it answers."""

    async def answers(self) -> bool:
        """Return whether it serves clients."""

    def failure(self) -> LocalStackError:
        """Return the reason it did not start, from its output."""


AnyServer = TypeVar("AnyServer", bound=Server)


async def wait_until_ready(server: Server, process: Process) -> None:
    """Return when the server answers. Raise its failure if it ends first or does not answer within a minute."""
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while not await server.answers():
                if process.returncode is not None:
                    raise server.failure()
                await asyncio.sleep(LOOK_EVERY_S)
    except TimeoutError:
        raise server.failure() from None


@asynccontextmanager
async def running(server: AnyServer) -> AsyncIterator[AnyServer]:
    """Run a server during a block."""
    await server.prepare()
    process = await server.start()
    try:
        await wait_until_ready(server, process)
        yield server
    finally:
        if process.returncode is None:
            process.send_signal(server.stop_signal)
        await process.wait()
