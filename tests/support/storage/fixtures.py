"""Real S3 and Azure servers for the session, an empty prefix for each test, and all kinds of stores."""

import os
from collections.abc import AsyncIterator, Mapping
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.local.processes import Processes
from deploy.local.servers import running
from tests.support.storage.azurite import Azurite, installed
from tests.support.storage.bucket import Bucket
from tests.support.storage.container import Container
from tests.support.storage.gcs_front import GcsFront
from tests.support.storage.seaweedfs import SeaweedFS
from tests.support.storage.stores import (
    Store,
    azure_environment,
    azure_store,
    environment,
    gcs_environment,
    gcs_store,
    local_store,
    memory_store,
    s3_store,
)

NAME = "headrace"
_numbers = count(1)


@pytest_asyncio.fixture(scope="session")
async def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SeaweedFS]:
    folder = tmp_path_factory.mktemp("seaweedfs")
    async with running(SeaweedFS(folder / "data", Processes())) as server:
        yield server
    server.tidy()


@pytest_asyncio.fixture
async def bucket(seaweedfs: SeaweedFS) -> Bucket:
    """An empty prefix of the one bucket: a bucket for each test would use up the server's volumes."""
    bucket = Bucket(seaweedfs.url, NAME, f"test-{next(_numbers)}")
    assert await bucket.make()
    return bucket


@pytest_asyncio.fixture(scope="session")
async def azurite(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Azurite]:
    cache = request.config.cache
    assert cache is not None
    packages = installed(Path(cache.mkdir("azurite")))
    async with running(Azurite(packages, tmp_path_factory.mktemp("azurite") / "data", Processes())) as server:
        yield server


@pytest_asyncio.fixture
async def azure(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> Store:
    container = Container(azurite.url, NAME, f"test-{next(_numbers)}")
    assert await container.make()
    set_environment(monkeypatch, azure_environment(container.endpoint))
    return azure_store(container)


@pytest_asyncio.fixture
async def gcs(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    async with GcsFront(bucket.endpoint).listening() as front:
        set_environment(monkeypatch, gcs_environment(front.url))
        yield gcs_store(bucket)


def set_environment(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    """Set these variables and delete all others of the cloud providers."""
    for name in os.environ:
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_")):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def s3(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The bucket as a store. Processes that start now use it, too."""
    set_environment(monkeypatch, environment(bucket.endpoint))
    return s3_store(bucket)


SEAWEEDFS, AZURITE = pytest.mark.shares("seaweedfs"), pytest.mark.shares("azurite")


@pytest.fixture(
    params=[
        "local",
        pytest.param("s3", marks=SEAWEEDFS),
        pytest.param("azure", marks=AZURITE),
        pytest.param("gcs", marks=SEAWEEDFS),
        "memory",
    ]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param in {"s3", "azure", "gcs"}:
        remote: Store = request.getfixturevalue(request.param)
        return remote
    return local_store(tmp_path / "blobs") if request.param == "local" else memory_store()
