"""Real PostgreSQL and Valkey for the tests: started once a session, clean for each test.

`database_url`: a new migrated database. `redis_url`: an empty Redis. `storage_url`: an empty folder.
"""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from deploy.local.data_dir import stored_password
from deploy.local.postgres import ROLE, USER, Postgres, create_service_role
from deploy.local.processes import Processes
from deploy.local.servers import running
from deploy.local.valkey import Valkey
from deploy.migrate import migrate
from tests.support.databases import TEMPLATE, Databases, execute, new_database

SERVICE_PASSWORD = secrets.token_hex(8)
# Tests connect ten thousand times, and 4,096 iterations take 2 ms.
CHEAP_LOGINS = """
    ALTER ROLE {role} SET scram_iterations = 1;
    SET scram_iterations = 1;
    ALTER ROLE {role} PASSWORD '{password}';
"""
_owners: dict[str, str] = {}  # address of a running server → the credentials of its owner; "": of the session's


@pytest_asyncio.fixture(scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Postgres]:
    """The server. Its database TEMPLATE is migrated; the services' role can use copies of it."""
    folder = tmp_path_factory.mktemp("postgres")
    password_file = folder / "password"
    stored_password(password_file)
    async with running(Postgres(folder / "data", password_file, Processes(), durable=False)) as server:
        await execute(server, CHEAP_LOGINS.format(role=USER, password=password_file.read_text().strip()))
        await execute(server, f"CREATE DATABASE {TEMPLATE}")
        await migrate(server.database_url(TEMPLATE))
        await create_service_role(server.database_url(TEMPLATE), SERVICE_PASSWORD)
        know_owner(server.url)
        _owners[""] = urlsplit(server.url).netloc.rpartition("@")[0]
        yield server


@pytest_asyncio.fixture(scope="session")
async def valkey(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Valkey]:
    """The server."""
    folder = tmp_path_factory.mktemp("valkey")
    password_file = folder / "password"
    stored_password(password_file)
    async with running(Valkey(folder / "data", password_file, Processes())) as server:
        yield server


@pytest_asyncio.fixture(scope="session")
async def databases(postgres: Postgres) -> Databases:
    """The migrated databases of the server."""
    return Databases(postgres)


@pytest_asyncio.fixture
async def database_url(databases: Databases) -> AsyncIterator[str]:
    """A database with our schema and no rows."""
    async with databases.migrated() as url:
        yield url


@pytest.fixture
def service_database_url(database_url: str) -> str:
    """The same database for the services' role, to which row-level security applies."""
    return as_role(database_url, f"{ROLE}:{SERVICE_PASSWORD}")


def as_owner(url: str) -> str:
    """Return a URL of the services' role with the owner's credentials, which bypass row-level security."""
    parts = urlsplit(url)
    if parts.username != ROLE:
        return url
    return as_role(url, _owners.get(parts.netloc.rpartition("@")[2]) or _owners[""])  # or of a proxy before it


def know_owner(url: str) -> None:
    """Keep the credentials of a server's owner for `as_owner`."""
    credentials, _, address = urlsplit(url).netloc.rpartition("@")
    _owners[address] = credentials


def as_role(url: str, credentials: str) -> str:
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{credentials}@{address}"))


@pytest_asyncio.fixture
async def empty_database_url(postgres: Postgres) -> AsyncIterator[str]:
    """A new database without our schema."""
    async with new_database(postgres, template="template0") as url:
        yield url


@pytest_asyncio.fixture
async def redis_url(valkey: Valkey) -> str:
    """An empty Redis."""
    async with Redis.from_url(valkey.url) as redis:
        await redis.flushall()
    return valkey.url


@pytest.fixture
def storage_url(tmp_path: Path) -> str:
    """An empty blob store."""
    return (tmp_path / "blobs").as_uri()
