"""The seam between the stack and the servers it embeds, and a way to run one for the length of a block."""

import asyncio
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from deploy.local.terminal import LocalStackError

READY_WITHIN_S = 60.0
LOOK_EVERY_S = 0.05


class Server(Protocol):
    """A server from a package. It listens on a free port of loopback, the same one through all restarts."""

    name: str
    stop_signal: signal.Signals

    @property
    def url(self) -> str:
        """Where clients find it, password included."""

    async def prepare(self) -> None:
        """Make its data folder when there is none; raises LocalStackError."""

    async def start(self) -> Process:
        """Start its process; returns before it answers."""

    async def answers(self) -> bool:
        """Whether it serves clients."""

    def failure(self) -> LocalStackError:
        """Why it did not start, from what it wrote."""


AnyServer = TypeVar("AnyServer", bound=Server)


async def wait_until_ready(server: Server, process: Process) -> None:
    """Return when the server answers; raises its failure when it ends or stays silent for a minute."""
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            while not await server.answers():
                if process.returncode is not None:
                    raise server.failure()
                await asyncio.sleep(LOOK_EVERY_S)
    except TimeoutError:
        raise server.failure() from None


@asynccontextmanager
async def running(server: AnyServer) -> AsyncIterator[AnyServer]:
    """Run a server for the length of a block."""
    await server.prepare()
    process = await server.start()
    try:
        await wait_until_ready(server, process)
        yield server
    finally:
        if process.returncode is None:
            process.send_signal(server.stop_signal)
        await process.wait()
