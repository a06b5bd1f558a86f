"""The services as deployed: unpacked images, generated secrets, a PostgreSQL and a Valkey user per service."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from deploy.local.ports import LOOPBACK, free_port
from deploy.local.postgres import Postgres
from deploy.local.processes import Processes
from deploy.local.unprivileged import give_to_nobody
from deploy.local.valkey import binary
from deploy.make_secrets import files_of, write
from tests.support.databases import execute
from tests.support.deployables.composed import SERVICES, environ_of
from tests.support.deployables.dockerfile import INGEST, PROCESSOR, Dockerfile
from tests.support.deployables.manifests import OVERLAYS
from tests.support.deployables.unpacked import Unpacked
from tests.support.stack.launched import ROOT

DATABASE = "deployed"


@pytest.fixture(scope="session")
def writable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The only folder that the images' commands can write to."""
    writable = tmp_path_factory.mktemp("writable")
    give_to_nobody(writable)
    return writable


@pytest.fixture(scope="session")
def ingest_image(tmp_path_factory: pytest.TempPathFactory, writable: Path) -> Unpacked:
    return _unpacked(INGEST, tmp_path_factory.mktemp("ingest image"), writable)


@pytest.fixture(scope="session")
def processor_image(tmp_path_factory: pytest.TempPathFactory, writable: Path) -> Unpacked:
    return _unpacked(PROCESSOR, tmp_path_factory.mktemp("processor image"), writable)


def _unpacked(dockerfile: Path, folder: Path, writable: Path) -> Unpacked:
    image = Unpacked(Dockerfile(dockerfile), folder, writable)
    image.build()
    return image


@pytest.fixture(scope="session")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deploy") / "secrets"
    write(folder, files_of())
    return folder


@pytest_asyncio.fixture(scope="session")
async def administrator(postgres: Postgres, secrets: Path) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection to a database that is initialised as by Compose, without our schema."""
    await execute(postgres, f"CREATE DATABASE {DATABASE} TEMPLATE template0")
    connection = await asyncpg.connect(postgres.database_url(DATABASE))
    await connection.execute((ROOT / "deploy/roles.sql").read_text())
    await connection.execute((secrets / "passwords.sql").read_text())
    yield connection
    await connection.close()


@pytest_asyncio.fixture(scope="session")
async def valkey_port(secrets: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[int]:
    """The port of a Valkey that runs with Compose's command and the users of the secrets."""
    port, processes = free_port(), Processes()
    here = {"/data": tmp_path_factory.mktemp("valkey data"), "/run/secrets/valkey_acl": secrets / "valkey.acl"}
    _, *options = [here.get(word, word) for word in SERVICES["valkey"]["command"]]
    command = [binary(), *options, "--port", str(port), "--bind", LOOPBACK]
    process = await processes.start(command, output=asyncio.subprocess.DEVNULL)
    async with asyncio.timeout(30):
        while not await _is_open(port):  # noqa: ASYNC110 - another process opens the port
            await asyncio.sleep(0.02)
    yield port
    await processes.kill_remaining(process)


async def _is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


class Containers:
    """The settings of each service's container, with the addresses of the test's servers."""

    def __init__(self, secrets: Path, addresses: dict[str, str]) -> None:
        self._secrets = secrets
        self._addresses = addresses

    def settings(self, service: str, **changes: str) -> dict[str, str]:
        environ = environ_of(service, self._secrets)
        for there, here in self._addresses.items():
            environ = {name: value.replace(there, here) for name, value in environ.items()}
        return environ | changes


@pytest.fixture(scope="session")
def containers(
    administrator: asyncpg.Connection, postgres: Postgres, valkey_port: int, secrets: Path, writable: Path
) -> Containers:
    assert administrator is not None
    blobs = writable / "blobs"
    blobs.mkdir()
    give_to_nobody(blobs)
    addresses = {
        "@postgres:5432/headrace": f"@{LOOPBACK}:{postgres.port}/{DATABASE}",
        "@valkey:6379": f"@{LOOPBACK}:{valkey_port}",
        "s3://headrace/blobs": blobs.as_uri(),
    }
    return Containers(secrets, addresses)


@pytest_asyncio.fixture(scope="session")
async def migrated(ingest_image: Unpacked, containers: Containers) -> str:
    """Migrate with the command of Compose's migrate container; return its output."""
    status, output = await ingest_image.run(SERVICES["migrate"]["command"], containers.settings("migrate"))
    assert status == 0, output
    return output


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> str:
    """Each overlay's name."""
    return str(request.param)
