"""ingest_service deploys without the processor: with only its extra in a separate environment, it answers requests."""

import asyncio
import os
import shutil
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import aiohttp
import pytest

from deploy.local.ports import free_port
from tests.support.stack.launched import ROOT

pytestmark = [pytest.mark.process, pytest.mark.slow]

HEAVY = ("torch", "numpy", "soundfile", "librosa", "whisper", "noisereduce", "av", "triton")


@pytest.fixture(scope="module")
def ingest_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new virtual environment in which pip installed `headrace[ingest]`."""
    folder = tmp_path_factory.mktemp("ingest alone")
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "tests")
    shutil.copytree(ROOT, folder / "source", ignore=unwanted)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python: Path = folder / "venv/bin/python"
    constraints = folder / "source/deploy/constraints.txt"
    install = [str(python), "-m", "pip", "install", "--quiet", "-c", str(constraints), f"{folder / 'source'}[ingest]"]
    result = subprocess.run(install, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return python


def test_no_model_or_audio_library_is_installed(ingest_python: Path) -> None:
    probe = "import importlib.util, sys; print([name for name in sys.argv[1:] if importlib.util.find_spec(name)])"

    found = subprocess.run([ingest_python, "-I", "-c", probe, *HEAVY], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


async def test_the_ingest_answers_health_requests(ingest_python: Path, tmp_path: Path) -> None:
    port = free_port()
    closed = f"127.0.0.1:{free_port()}"
    settings = {
        "HEADRACE_DATABASE_URL": f"postgresql://user@{closed}/none",
        "HEADRACE_REDIS_URL": f"redis://{closed}",
        "HEADRACE_STORAGE_URL": (tmp_path / "blobs").as_uri(),
        "HEADRACE_AUTH": "none",
        "HEADRACE_PORT": str(port),
    }
    process = await asyncio.create_subprocess_exec(
        ingest_python,
        *("-m", "ingest_service"),
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], **settings},
        stdout=PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            assert await _status(http, "/health/live") == 200
            async with http.get("/health/ready") as response:
                assert response.status == 503  # not ready, but the process keeps running
    finally:
        process.terminate()
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


async def _status(http: aiohttp.ClientSession, path: str) -> int:
    async with asyncio.timeout(30):
        while True:
            try:
                async with http.get(path) as response:
                    return response.status
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)
