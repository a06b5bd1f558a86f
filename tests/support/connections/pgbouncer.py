"""A real PgBouncer in front of the embedded PostgreSQL, with few server connections and optional TLS."""

import asyncio
import shutil
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from deploy.local.data_dir import PRIVATE_FOLDER
from deploy.local.ports import LOOPBACK, free_port
from deploy.local.processes import Processes
from deploy.local.servers import running
from deploy.local.terminal import LocalStackError
from deploy.local.unprivileged import give_to_nobody
from tests.support.connections.certificates import Certificates
from tests.support.connections.programs import environ, program

CONFIGURATION = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = {mode}
default_pool_size = {connections}
max_client_conn = 200
server_tls_sslmode = disable
client_tls_sslmode = allow
client_tls_cert_file = {certificate}
client_tls_key_file = {key}
"""


class PgBouncer:
    """A PgBouncer for the database and user of `url`."""

    name = "pgbouncer"
    stop_signal = signal.SIGINT

    def __init__(self, folder: Path, url: str, certificates: Certificates, *, mode: str, connections: int) -> None:
        self._folder = folder / "pgbouncer"
        self._parts = urlsplit(url)
        self._certificates = certificates
        self._mode = mode
        self._connections = connections
        self.port = free_port()

    @property
    def url(self) -> str:
        """Return the URL of the database through PgBouncer, with the host name of the certificate."""
        user_info = self._parts.netloc.rpartition("@")[0]
        return urlunsplit(self._parts._replace(netloc=f"{user_info}@localhost:{self.port}"))

    async def prepare(self) -> None:
        self._folder.mkdir(mode=PRIVATE_FOLDER)
        users = self._write("users", f'"{self._parts.username}" "{self._parts.password}"\n')
        settings = {
            "host": self._parts.hostname,
            "port": self._parts.port,
            "own_port": self.port,
            "users": users,
            "mode": self._mode,
            "connections": self._connections,
            "certificate": self._copy(self._certificates.certificate),
            "key": self._copy(self._certificates.key),
        }
        self._write("pgbouncer.ini", CONFIGURATION.format(**settings))
        give_to_nobody(self._folder)

    def _write(self, name: str, text: str) -> Path:
        path = self._folder / name
        path.write_text(text)
        give_to_nobody(path)
        return path

    def _copy(self, file: Path) -> Path:
        path = Path(shutil.copy(file, self._folder))
        give_to_nobody(path)
        return path

    async def start(self) -> Process:
        command: list[str | Path] = [program("pgbouncer"), self._folder / "pgbouncer.ini"]
        with (self._folder / "log").open("wb") as log:
            return await Processes().start(command, env=environ(), output=log, nobody=True)

    async def answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(LOOPBACK, self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    def failure(self) -> LocalStackError:
        return LocalStackError((self._folder / "log").read_text())


@asynccontextmanager
async def pooled(
    folder: Path, url: str, certificates: Certificates, *, mode: str = "transaction", connections: int = 4
) -> AsyncIterator[PgBouncer]:
    """Run a PgBouncer during a block."""
    async with running(PgBouncer(folder, url, certificates, mode=mode, connections=connections)) as pgbouncer:
        yield pgbouncer
