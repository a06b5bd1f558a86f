"""A real S3 server for the session, an empty prefix for each test, and the stores that all must do the same."""

import os
from collections.abc import AsyncIterator, Mapping
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.local.processes import Processes
from deploy.local.servers import running
from tests.storage.bucket import Bucket
from tests.storage.seaweedfs import SeaweedFS
from tests.storage.stores import Store, environment, local_store, memory_store, s3_store

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
    """A prefix of the one bucket with nothing under it: a bucket each would take the server's last volume."""
    bucket = Bucket(seaweedfs.url, NAME, f"of-test-{next(_numbers)}")
    assert await bucket.make()
    return bucket


def set_environment(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    """These variables of the provider's, and no other of its."""
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def s3(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The bucket as a store; processes that are started now find it, too."""
    set_environment(monkeypatch, environment(bucket.endpoint))
    return s3_store(bucket)


@pytest.fixture(params=["local", "s3", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "s3":
        s3: Store = request.getfixturevalue("s3")
        return s3
    return local_store(tmp_path / "blobs") if request.param == "local" else memory_store()
