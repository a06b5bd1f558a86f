"""PostgreSQL and Valkey as processes that can be killed, frozen and restarted. Both keep their data."""

import os
import signal
from asyncio.subprocess import Process
from contextlib import suppress
from pathlib import Path

from deploy.local.data_dir import stored_password
from deploy.local.ports import LOOPBACK
from deploy.local.postgres import Postgres
from deploy.local.processes import Processes
from deploy.local.servers import wait_until_ready
from deploy.local.valkey import Valkey
from tests.support.stack.launched import alive, descendants
from tests.tools.chaos.waiting import until

GONE_WITHIN_S = 30.0
COMMIT_TIMES = ("-c", "track_commit_timestamp=on")  # detects webhooks that were sent before their commit


class Server:
    """One server. Its port stays the same after restarts."""

    def __init__(self, server: Postgres | Valkey) -> None:
        self._server = server
        self._process: Process | None = None

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def url(self) -> str:
        return self._server.url

    async def start(self) -> None:
        """Start the server and wait until it answers."""
        await self._server.prepare()
        self._process = await self._server.start()
        await wait_until_ready(self._server, self._process)

    async def stop(self) -> None:
        """Shut the server down cleanly."""
        self.thaw()
        await self._end({self._pid}, self._server.stop_signal)

    async def kill(self) -> None:
        """Kill all its processes at once, as in a machine crash. Only the kernel's page cache survives."""
        await self._end(self._family(), signal.SIGKILL)

    def freeze(self) -> None:
        _send(self._family(), signal.SIGSTOP)

    def thaw(self) -> None:
        _send(self._family(), signal.SIGCONT)

    @property
    def _pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def _family(self) -> set[int]:
        return {self._pid, *descendants(self._pid)}

    async def _end(self, pids: set[int], number: signal.Signals) -> None:
        family = self._family()
        _send(pids, number)
        assert self._process is not None
        await self._process.wait()
        await until(lambda: not alive(family), within_s=GONE_WITHIN_S)


def postgres(folder: Path, processes: Processes, *options: str, host: str = LOOPBACK) -> Server:
    """Create a PostgreSQL server that `processes` start, perhaps in another network namespace, on `host`."""
    stored_password(folder / "postgres-password")
    server = Postgres(folder / "postgres", folder / "postgres-password", processes, host=host)
    server._options = (*COMMIT_TIMES, *options)  # type: ignore[assignment]
    return Server(server)


def valkey(folder: Path, processes: Processes, *, host: str = LOOPBACK) -> Server:
    """Create a Valkey server. Parameters as for `postgres`."""
    stored_password(folder / "valkey-password")
    return Server(Valkey(folder / "valkey", folder / "valkey-password", processes, host=host))


def _send(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
