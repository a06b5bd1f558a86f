"""The ingest as a process: start, refused start, stop, and memory."""

import asyncio
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from ingest_service.settings import IngestSettings
from tests.support.ingest.process import answers, running, start
from tests.support.ingest.serving import until
from tests.support.ingest.sounds import wav
from tests.support.ingest.upload_memory import LIMIT_MIB, measure

UPLOAD_MIB = 1024


async def test_memory_stays_flat_under_a_large_upload(settings: IngestSettings) -> None:
    async with running(settings) as (process, url):
        measured = await asyncio.to_thread(measure, process.pid, url, UPLOAD_MIB)
    print(measured)
    assert measured.status == 202
    assert measured.growth_mib < LIMIT_MIB


@pytest.mark.skipif(sys.platform != "linux", reason="reads the limits of the process in /proc")
async def test_the_soft_limit_of_open_files_is_raised(settings: IngestSettings) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))  # the process inherits it
    try:
        async with running(settings) as (process, _):
            allowed = open_files_allowed(process.pid)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert allowed == hard


def open_files_allowed(pid: int) -> int:
    """The soft limit."""
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(int(line.split()[3]) for line in limits if line.startswith("Max open files"))


async def test_sigterm_lets_an_upload_finish(settings: IngestSettings) -> None:
    sent_first = asyncio.Event()

    async def body(process: asyncio.subprocess.Process, url: str) -> AsyncIterator[bytes]:
        audio = wav(100_000)
        yield audio[:50_000]
        await sent_first.wait()
        process.send_signal(signal.SIGTERM)
        await until(lambda: refuses(url))
        yield audio[50_000:]

    async def refuses(url: str) -> bool:
        return not await answers(url)

    async with running(settings) as (process, url), aiohttp.ClientSession() as client:
        sent_first.set()
        async with client.post(
            url + "/v1/jobs", data=body(process, url), headers={"Content-Type": "audio/wav"}
        ) as answer:
            assert answer.status == 202
        async with asyncio.timeout(20):
            assert await process.wait() == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"HEADRACE_AUTH": "anything"}, "HEADRACE_AUTH"),
        ({"HEADRACE_AUTH": "", "HEADRACE_HOST": "0.0.0.0"}, "HEADRACE_AUTH"),  # noqa: S104 - it must be refused
        ({"HEADRACE_HOST": "0.0.0.0"}, "HEADRACE_HOST"),  # noqa: S104 - it must be refused
        ({"HEADRACE_DATABASE_URL": ""}, "HEADRACE_DATABASE_URL"),
        ({"HEADRACE_STORAGE_URL": "nonsense://x"}, "HEADRACE_STORAGE_URL"),
        ({"HEADRACE_STORAGE_URL": "file:///proc/nowhere"}, "HEADRACE_STORAGE_URL"),
    ],
)
async def test_an_invalid_setting_is_one_line_and_status_2(
    settings: IngestSettings, changes: dict[str, str], said: str
) -> None:
    process = await start(settings, **changes)
    _, err = await process.communicate()
    assert process.returncode == 2
    (line,) = err.decode().splitlines()
    assert said in line


async def test_a_port_in_use_is_one_line_and_status_2(settings: IngestSettings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        process = await start(settings, HEADRACE_PORT=str(port))
        _, err = await process.communicate()
    assert process.returncode == 2
    (line,) = err.decode().splitlines()
    assert str(port) in line
    assert "in use" in line
