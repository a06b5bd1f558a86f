"""Several real Valkey servers, each of which a test may freeze, kill or start again empty."""

import os
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path

from deploy.local.data_dir import stored_password
from deploy.local.processes import Processes
from deploy.local.servers import wait_until_ready
from deploy.local.valkey import Valkey
from shared.connections.redis_shards import shard_of
from shared.connections.redis_url import parse_redis_url


class OneRedis:
    """One server."""

    def __init__(self, server: Valkey, process: Process) -> None:
        self._server = server
        self._process = process

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def name(self) -> str:
        return parse_redis_url(self.url).name

    def freeze(self) -> None:
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    async def kill(self) -> None:
        self._process.kill()
        await self._process.wait()

    async def restart(self) -> None:
        """Start it again, without the data."""
        self._process = await self._server.start()
        await wait_until_ready(self._server, self._process)


@asynccontextmanager
async def several_redis(folder: Path, number: int) -> AsyncIterator[list[OneRedis]]:
    """Run so many servers during a block."""
    password_file = folder / "password"
    stored_password(password_file)
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(_running(Valkey(folder / f"valkey-{at}", password_file, Processes())))
            for at in range(number)
        ]


@asynccontextmanager
async def _running(server: Valkey) -> AsyncIterator[OneRedis]:
    await server.prepare()
    process = await server.start()
    await wait_until_ready(server, process)
    one = OneRedis(server, process)
    try:
        yield one
    finally:
        if one._process.returncode is None:
            await one.kill()


def urls_of(servers: Iterable[OneRedis]) -> str:
    """Return the setting."""
    return " ".join(server.url for server in servers)


def tenant_of(server: OneRedis, among: Iterable[OneRedis], number: int = 0) -> str:
    """Return the name of a tenant that has its keys in a server; another one for each number."""
    names = [each.name for each in among]
    found = (f"tenant-{at}" for at in count() if shard_of(f"tenant-{at}", names) == server.name)
    return next(tenant for at, tenant in enumerate(found) if at == number)
