"""A master, its replica and three Sentinels, all real Valkey processes. A failover takes some seconds."""

from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from deploy.local.ports import LOOPBACK
from deploy.local.processes import Processes
from deploy.local.valkey import binary
from tests.support.ingest.serving import until
from tests.support.ports import free_ports

PASSWORD = "of-the-master"  # noqa: S105 - of a temporary server
SENTINEL_PASSWORD = "of-the-sentinels"  # noqa: S105 - of a temporary server
MASTER = "dispatch"
SERVER = """
bind {host}
port {port}
dir {folder}
requirepass {password}
masterauth {password}
save ""
repl-diskless-sync-delay 0
"""
SENTINEL = """
bind {host}
port {port}
dir {folder}
requirepass {sentinel_password}
sentinel sentinel-pass {sentinel_password}
sentinel monitor {master} {host} {master_port} 2
sentinel auth-pass {master} {password}
sentinel down-after-milliseconds {master} 500
sentinel failover-timeout {master} 3000
"""


class Valkeys:
    """Two servers and their Sentinels."""

    def __init__(self, ports: Sequence[int], servers: dict[int, Process], sentinel_ports: Sequence[int]) -> None:
        self._ports = ports
        self._servers = servers
        self._sentinel_ports = sentinel_ports

    @property
    def url(self) -> str:
        """Return the Sentinel URL. Its first Sentinel does not answer; clients try the next."""
        addresses = ",".join(f"{LOOPBACK}:{port}" for port in (1, *self._sentinel_ports))
        return f"redis+sentinel://:{PASSWORD}@{addresses}/{MASTER}/0?sentinel_password={SENTINEL_PASSWORD}"

    async def master(self) -> int:
        """Return the port of the master, or 0 while the Sentinels disagree."""
        answers = set()
        for port in self._sentinel_ports:
            async with _client(port, SENTINEL_PASSWORD) as sentinel:
                answers.add(int((await sentinel.sentinel_get_master_addr_by_name(MASTER))[1]))
        return answers.pop() if len(answers) == 1 else 0

    async def kill_master(self) -> int:
        """Kill the master without a clean shutdown. Return the port of the replica."""
        port = await self.master()
        self._servers[port].kill()
        await self._servers[port].wait()
        (replica,) = set(self._ports) - {port}
        return replica


@asynccontextmanager
async def watched_valkeys(folder: Path) -> AsyncIterator[Valkeys]:
    """Run them during a block, which starts when the Sentinels know each other and the replica."""
    found = free_ports(5)
    ports, sentinel_ports = found[:2], found[2:]
    async with AsyncExitStack() as stack:
        servers = {}
        for port in ports:
            lines = SERVER if port == ports[0] else SERVER + f"replicaof {LOOPBACK} {ports[0]}"
            servers[port] = await stack.enter_async_context(_running(folder, port, lines))
        await until(lambda: _has_replica(ports[0]), timeout_s=30)
        values = {"sentinel_password": SENTINEL_PASSWORD, "master": MASTER, "master_port": ports[0]}
        for port in sentinel_ports:
            await stack.enter_async_context(_running(folder, port, SENTINEL, "--sentinel", **values))
        for port in sentinel_ports:
            await until(lambda port=port: _knows_all(port), timeout_s=30)
        yield Valkeys(ports, servers, sentinel_ports)


@asynccontextmanager
async def _running(folder: Path, port: int, lines: str, *flags: str, **values: object) -> AsyncIterator[Process]:
    home = folder / f"valkey-{port}"
    home.mkdir()
    configuration = home / "valkey.conf"
    configuration.write_text(lines.format(host=LOOPBACK, port=port, folder=home, password=PASSWORD, **values))
    with (home / "log").open("wb") as log:
        process = await Processes().start([binary(), configuration, *flags], output=log)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _client(port: int, password: str) -> Any:
    return Redis(host=LOOPBACK, port=port, password=password, socket_timeout=2)


async def _has_replica(port: int) -> bool:
    try:
        async with _client(port, PASSWORD) as redis:
            state = await redis.info("replication")
    except RedisError:
        return False
    return bool(state["connected_slaves"] == 1 and state["slave0"]["state"] == "online")


async def _knows_all(port: int) -> bool:
    try:
        async with _client(port, SENTINEL_PASSWORD) as sentinel:
            state = (await sentinel.sentinel_masters())[MASTER]
    except RedisError:
        return False
    return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1)
