"""PostgreSQL, Redis and S3, each on its own host. Each listens on that host's address only."""

import signal
from asyncio.subprocess import Process
from pathlib import Path

from deploy.local.processes import Processes
from deploy.local.servers import wait_until_ready
from tests.support.connections.replica import replica_of
from tests.support.storage.seaweedfs import SeaweedFS
from tests.tools.chaos import servers
from tests.tools.fleet.hosts import PREFIX_BITS, Host, address

# Connections come over the network only and need a password.
CONNECTIONS = "".join(f"host {one} all {address(0)}/{PREFIX_BITS} scram-sha-256\n" for one in ("all", "replication"))


def postgres(host: Host) -> servers.Server:
    """PostgreSQL, run as the user `nobody`: it refuses to run as root."""
    return servers.postgres(host.folder, Processes(host.inside), *_rules(host), host=host.address)


def replica(host: Host, primary: servers.Server) -> servers.Server:
    """A replica of a running PostgreSQL."""
    return replica_of(primary, host.folder, Processes(host.inside), *_rules(host), host=host.address)


def _rules(host: Host) -> tuple[str, str]:
    rules = host.folder / "pg_hba.conf"
    rules.write_text(CONNECTIONS)
    return "-c", f"hba_file={rules}"


def valkey(host: Host) -> servers.Server:
    return servers.valkey(host.folder, Processes(host.inside), host=host.address)


class Bucket:
    """A SeaweedFS server on a host."""

    def __init__(self, host: Host) -> None:
        self._processes = Processes(host.inside)
        self._server = SeaweedFS(_data(host), self._processes, host=host.address)
        self._process: Process | None = None

    @property
    def url(self) -> str:
        return self._server.url

    async def start(self) -> None:
        """Start the server and return when it answers."""
        await self._server.prepare()
        self._process = await self._server.start()
        await wait_until_ready(self._server, self._process)

    async def stop(self) -> None:
        if self._process is not None:
            await ended(self._process, self._server.stop_signal)
        self._server.tidy()


async def ended(process: Process, number: signal.Signals) -> None:
    """Stop a process with a signal and wait for its end. A process that has ended is not an error."""
    if process.returncode is None:
        process.send_signal(number)
    await process.wait()


def _data(host: Host) -> Path:
    return host.folder / "data"
