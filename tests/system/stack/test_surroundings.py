"""`make run` in other environments: unusual paths, ordinary users, external servers."""

import shutil
from pathlib import Path

import pytest

from deploy.local import postgres as postgres_module
from deploy.local import valkey as valkey_module
from deploy.local.data_dir import stored_password
from deploy.local.postgres import Postgres
from deploy.local.processes import Processes
from deploy.local.servers import running
from deploy.local.unprivileged import as_nobody, give_to_nobody, is_root
from deploy.local.valkey import Valkey
from tests.support.stack.launched import ROOT, Launched
from tests.system.stack.test_run import health

pytestmark = pytest.mark.process

PACKAGES = ("deploy", "shared", "ingest_service", "processor_service")


def system_program(name: str) -> Path:
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed")
    return Path(program).absolute()


async def test_from_a_private_path_with_a_space(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, closed / "a clone" / package)
    closed.chmod(0o700)
    stack = Launched(closed / "a clone" / ".headrace", root=closed / "a clone")
    async with stack.ready():
        assert await health(stack.url) == 200
        assert "%20" in stack.settings()["HEADRACE_STORAGE_URL"]
    assert closed.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not is_root(), reason="an ordinary user runs all the other tests")
async def test_as_an_ordinary_user(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(0o700)
    give_to_nobody(home)
    stack = Launched(home / "data", prefix=as_nobody(), environ={"HOME": str(home)})
    async with stack.ready():
        assert await health(stack.url) == 200
        assert (home / "data" / "postgres").owner() == "nobody"


async def test_with_an_external_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_module, "binaries", system_program("postgres").resolve().parent.absolute)
    stored_password(tmp_path / "password")
    async with running(Postgres(tmp_path / "system", tmp_path / "password", Processes(), durable=False)) as system:
        stack = Launched(tmp_path / "data", environ={"HEADRACE_DATABASE_URL": system.url})
        async with stack.ready():
            assert await health(stack.url) == 200
            assert set(stack.pids()) == {"valkey", "ingest"}
            assert stack.settings()["HEADRACE_DATABASE_URL"] == system.url


async def test_with_an_installed_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey_module, "binary", system_program("redis-server").absolute)
    stored_password(tmp_path / "password")
    async with running(Valkey(tmp_path / "system", tmp_path / "password", Processes())) as system:
        await _runs_with_redis(tmp_path, system.url)


async def test_with_an_external_redis(tmp_path: Path, redis_url: str) -> None:
    await _runs_with_redis(tmp_path, redis_url)


async def _runs_with_redis(tmp_path: Path, url: str) -> None:
    stack = Launched(tmp_path / "data", environ={"HEADRACE_REDIS_URL": url})
    async with stack.ready():
        assert await health(stack.url) == 200
        assert set(stack.pids()) == {"postgres", "ingest"}
        assert stack.settings()["HEADRACE_REDIS_URL"] == url


async def test_with_an_external_blob_store(tmp_path: Path) -> None:
    url = (tmp_path / "elsewhere").as_uri()
    stack = Launched(tmp_path / "data", environ={"HEADRACE_STORAGE_URL": url})
    async with stack.ready():
        assert stack.settings()["HEADRACE_STORAGE_URL"] == url
    assert not list(stack.data_dir.blobs.iterdir())
