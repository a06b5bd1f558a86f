"""Several ingest processes on one port: all serve, a dead one is replaced, and all stop together."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest

from deploy.local.ports import free_port
from ingest_service.services import connections_of
from ingest_service.settings import IngestSettings
from tests.support.ingest.process import answers, start
from tests.support.ingest.serving import serving, until
from tests.support.ingest.sounds import wav
from tests.support.stack.launched import alive, descendants

PROCESSES = 2
CLIENTS = 40
WAV_TYPE = {"Content-Type": "audio/wav"}


class Several:
    """A running ingest of several processes."""

    def __init__(self, parent: asyncio.subprocess.Process, url: str) -> None:
        self.parent = parent
        self.url = url

    def children(self) -> set[int]:
        return alive(descendants(self.parent.pid))

    async def all_serve(self) -> bool:
        """Open so many connections that the kernel gives some to each process. A starting process lets them wait."""
        complete = len(self.children()) == PROCESSES
        return complete and all(await asyncio.gather(*(self.answers() for _ in range(CLIENTS))))

    def sockets(self) -> dict[int, int]:
        """Return the number of open sockets of each process."""
        return {child: sockets_of(child) for child in self.children()}

    async def answers(self) -> bool:
        return await answers(self.url)


def sockets_of(pid: int) -> int:
    return sum(str(entry.readlink()).startswith("socket:") for entry in Path(f"/proc/{pid}/fd").iterdir())


@asynccontextmanager
async def several(settings: IngestSettings, **changes: str) -> AsyncIterator[Several]:
    port = free_port()
    process = await start(settings, HEADRACE_PORT=str(port), HEADRACE_INGEST_PROCESSES=str(PROCESSES), **changes)
    ingest = Several(process, f"http://127.0.0.1:{port}")
    try:
        await until(ingest.answers, timeout_s=30)
        await until(ingest.all_serve, timeout_s=30)
        yield ingest
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def upload(client: aiohttp.ClientSession, url: str) -> str:
    async with client.post(url + "/v1/jobs", data=wav(), headers=WAV_TYPE) as answer:
        assert answer.status == 202
        return str((await answer.json())["job_id"])


async def test_every_process_serves_and_all_write_to_one_database(settings: IngestSettings) -> None:
    async with several(settings) as ingest, serving(settings) as observer:
        before = ingest.sockets()
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as client:
            ids = await asyncio.gather(*(upload(client, ingest.url) for _ in range(CLIENTS)))
            connected = ingest.sockets()
        assert all(connected[child] > before[child] for child in before)
        jobs = await observer.sql("SELECT id FROM jobs")
        assert {str(job["id"]) for job in jobs} == set(ids)


async def test_a_killed_process_is_restarted(settings: IngestSettings) -> None:
    async with several(settings) as ingest:
        victim, *others = ingest.children()
        os.kill(victim, signal.SIGKILL)

        async def replaced() -> bool:
            return victim not in ingest.children() and await ingest.all_serve()

        await until(replaced, timeout_s=30)
        assert set(others) < ingest.children()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
            await asyncio.gather(
                *(upload(client, ingest.url) for _ in range(CLIENTS))
            )  # no connection is refused or left without an answer
        ingest.parent.terminate()
        _, log = await ingest.parent.communicate()
        assert f"process_died died={victim}" in log.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_uploads_finish_in_every_process(settings: IngestSettings, number: signal.Signals) -> None:
    signalled = asyncio.Event()

    async def body(begun: asyncio.Event) -> AsyncIterator[bytes]:
        audio = wav(100_000)
        yield audio[:50_000]
        begun.set()
        await signalled.wait()
        yield audio[50_000:]

    async def send(client: aiohttp.ClientSession, url: str, begun: asyncio.Event) -> int:
        async with client.post(url + "/v1/jobs", data=body(begun), headers=WAV_TYPE) as answer:
            return answer.status

    async with several(settings) as ingest, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
        family = ingest.children()
        begun = [asyncio.Event() for _ in range(10)]
        before = sum(ingest.sockets().values())
        uploads = [asyncio.create_task(send(client, ingest.url, each)) for each in begun]

        async def all_taken() -> bool:
            return sum(ingest.sockets().values()) >= before + len(uploads)

        await asyncio.gather(*(each.wait() for each in begun))
        await until(all_taken)
        ingest.parent.send_signal(number)

        async def refuses() -> bool:
            return not await ingest.answers()

        await until(refuses)
        signalled.set()
        assert await asyncio.gather(*uploads) == [202] * len(uploads)
        async with asyncio.timeout(20):
            assert await ingest.parent.wait() == 0
        assert alive(family) == set()


async def test_processes_stop_if_their_supervisor_is_killed(settings: IngestSettings) -> None:
    async with several(settings) as ingest:
        family = ingest.children()
        ingest.parent.kill()

        async def gone() -> bool:
            return not alive(family)

        await until(gone)
        assert not await ingest.answers()


async def test_a_port_of_several_processes_cannot_be_opened_again(settings: IngestSettings) -> None:
    async with several(settings) as ingest:
        port = ingest.url.rpartition(":")[2]
        process = await start(settings, HEADRACE_PORT=port, HEADRACE_INGEST_PROCESSES=str(PROCESSES))
        _, err = await process.communicate()
        assert process.returncode == 2
        (line,) = err.decode().splitlines()
        assert "in use" in line


async def test_a_failed_start_of_several_processes_is_one_line_and_status_2(settings: IngestSettings) -> None:
    process = await start(settings, HEADRACE_STORAGE_URL="nonsense://x", HEADRACE_INGEST_PROCESSES=str(PROCESSES))
    _, err = await process.communicate()
    assert process.returncode == 2
    (line,) = err.decode().splitlines()
    assert "HEADRACE_STORAGE_URL" in line


@pytest.mark.parametrize(("processes", "each"), [(1, 20), (2, 10), (5, 4), (16, 4)])
def test_processes_share_the_connections_to_postgres(processes: int, each: int) -> None:
    assert connections_of(processes) == each


def test_the_default_is_one_process_for_each_core(settings: IngestSettings) -> None:
    values = {name: value for name, value in msgspec.structs.asdict(settings).items() if name != "ingest_processes"}
    assert IngestSettings(**values).ingest_processes == min(len(os.sched_getaffinity(0)), 16)
