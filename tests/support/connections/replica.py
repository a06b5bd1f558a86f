"""A real streaming replica of an embedded PostgreSQL. Both can be killed, frozen and restarted."""

import secrets
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from deploy.local.ports import LOOPBACK
from deploy.local.postgres import Postgres, binaries, create_service_role
from deploy.local.processes import Processes, server_environ
from deploy.local.terminal import explain
from deploy.local.unprivileged import give_to_nobody
from deploy.migrate import migrate
from tests.support.servers import as_role, know_owner
from tests.tools.chaos import servers
from tests.tools.chaos.servers import Server
from tests.tools.chaos.waiting import until

NAME = "replica"  # by which the primary knows it
STREAMS_WITHIN_S = 30.0
STREAMS = f"SELECT count(*) FROM pg_stat_replication WHERE application_name = '{NAME}' AND state = 'streaming'"  # noqa: S608 - a constant


class ReplicaPostgres(Postgres):
    """A copy of a running primary, which it follows from its start."""

    def __init__(self, folder: Path, primary: Server, processes: Processes, *, host: str = LOOPBACK) -> None:
        super().__init__(folder / "postgres", folder / "postgres-password", processes, host=host)
        self._primary = primary

    async def _initdb(self, folder: Path) -> None:
        give_to_nobody(folder)
        options: list[str | Path] = ["--pgdata", folder, "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        login = f"{self._primary.url}?application_name={NAME}"
        process = await self._processes.start(
            [binaries() / "pg_basebackup", *options, "--dbname", login], env=server_environ(), output=PIPE, nobody=True
        )
        output, _ = await process.communicate()
        if process.returncode != 0:
            raise explain("Cannot copy the primary", output.decode(errors="replace"), folder.parent)


def replica_of(primary: Server, folder: Path, processes: Processes, *options: str, host: str = LOOPBACK) -> Server:
    """Create a replica in an empty folder. Its password is the primary's."""
    password = primary.url.partition("://")[2].rpartition("@")[0].partition(":")[2]
    (folder / "postgres-password").write_text(password)
    server = ReplicaPostgres(folder, primary, processes, host=host)
    server._options = (*servers.COMMIT_TIMES, *options)  # type: ignore[assignment]
    return Server(server)


class Pair:
    """A primary with our schema, and its replica. The URLs are those of the services' role."""

    def __init__(self, primary: Server, replica: Server, service_url: str) -> None:
        self.primary = primary
        self.replica = replica
        self.primary_url = service_url
        address = replica.url.rpartition("@")[2].partition("/")[0]
        self.replica_url = at_hosts(service_url, address)

    @property
    def url(self) -> str:
        """The URL with both hosts, the replica first."""
        hosts = [url.rpartition("@")[2].partition("/")[0] for url in (self.replica_url, self.primary_url)]
        return at_hosts(self.primary_url, ",".join(hosts))

    async def on_replica(self, statement: str) -> Any:
        """Execute a statement on the replica as its superuser. Return the first value."""
        return await execute(self.replica.url, statement)

    async def pause(self) -> None:
        """Let the replica fall behind, however long."""
        await self.on_replica("SELECT pg_wal_replay_pause()")
        await until(lambda: self._replay_is("paused"), within_s=STREAMS_WITHIN_S)

    async def resume(self) -> None:
        await self.on_replica("SELECT pg_wal_replay_resume()")

    async def delay(self, milliseconds: int) -> None:
        """Let the replica show each commit so long after the primary."""
        await self.on_replica(f"ALTER SYSTEM SET recovery_min_apply_delay = {milliseconds}")
        await self.on_replica("SELECT pg_reload_conf()")

    async def promote(self) -> None:
        """Make the replica a primary, which no longer waits for a replica of its own."""
        assert await self.on_replica("SELECT pg_promote()")

    async def _replay_is(self, state: str) -> bool:
        return bool(await self.on_replica("SELECT pg_get_wal_replay_pause_state()") == state)


@asynccontextmanager
async def replicated(folder: Path, *, synchronous: bool = False) -> AsyncIterator[Pair]:
    """Run a primary and a replica that follows it during a block.

    `synchronous`: a commit is acknowledged when the replica has it on its disk.
    """
    for name in ("primary", "replica"):
        (folder / name).mkdir()
    primary = servers.postgres(folder / "primary", Processes())
    replica = replica_of(primary, folder / "replica", Processes())
    async with AsyncExitStack() as stack:
        for server in (primary, replica):
            await server.start()
            stack.push_async_callback(server.kill)
        await until(lambda: streams(primary), within_s=STREAMS_WITHIN_S)
        know_owner(primary.url)
        await migrate(primary.url)
        service_url = await create_service_role(primary.url, secrets.token_hex(8))
        if synchronous:
            await wait_for_replica(primary)
        yield Pair(primary, replica, service_url)


async def wait_for_replica(primary: Server) -> None:
    """Let each commit wait for the replica from now on."""
    await execute(primary.url, f"ALTER SYSTEM SET synchronous_standby_names = {NAME}")
    await execute(primary.url, "SELECT pg_reload_conf()")
    await until(lambda: _is_synchronous(primary), within_s=STREAMS_WITHIN_S)


async def _is_synchronous(primary: Server) -> bool:
    return bool(await execute(primary.url, "SELECT sync_state = 'sync' FROM pg_stat_replication"))


async def streams(primary: Server) -> bool:
    return bool(await execute(primary.url, STREAMS))


async def execute(url: str, statement: str) -> Any:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def at_hosts(url: str, hosts: str) -> str:
    """Return the URL with other hosts."""
    return as_role(f"postgresql://{hosts}/{url.rpartition('/')[2]}", url.partition("://")[2].rpartition("@")[0])
