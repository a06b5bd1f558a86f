"""Errors of `make run`: one clear line each."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack.launched import Launched

pytestmark = pytest.mark.process

SMALL_DISK = "size=12m"  # a cluster takes about 40 MB


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount = shutil.which("mount")
    folder = tmp_path / "small disk"
    folder.mkdir()
    command = [str(mount), "-t", "tmpfs", "-o", SMALL_DISK, "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run([str(shutil.which("umount")), str(folder)], check=True)


async def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = await Launched(tmp_path / "data", environ={"PORT": str(port)}).refused()
    assert f"127.0.0.1:{port}" in line
    assert not (tmp_path / "data" / "postgres").exists()


async def test_a_data_dir_in_use(tmp_path: Path) -> None:
    stack = Launched(tmp_path / "data")
    async with stack.ready():
        assert "runs on" in await Launched(tmp_path / "data").refused()
        assert set(stack.pids()) == {"postgres", "valkey", "ingest"}


async def test_a_full_disk(small_disk: Path) -> None:
    line = await Launched(small_disk / "data").refused()
    assert "is full" in line


async def test_a_data_dir_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert "data" in await Launched(tmp_path / "data").refused()


async def test_an_unreachable_database(tmp_path: Path) -> None:
    url = "postgresql://headrace:hidden@127.0.0.1:1/headrace"
    line = await Launched(tmp_path / "data", environ={"HEADRACE_DATABASE_URL": url}).refused()
    assert "cannot connect to the database" in line
    assert "hidden" not in line


@pytest.mark.parametrize(("name", "value"), [("PORT", "http"), ("PORT", "70000"), ("PROCESSORS", "-1")])
async def test_invalid_options(tmp_path: Path, name: str, value: str) -> None:
    line = await Launched(tmp_path / "data", environ={name: value}).refused()
    assert name in line
    assert value in line
