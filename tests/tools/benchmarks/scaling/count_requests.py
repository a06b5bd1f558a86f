"""Counts a job's requests to the bucket by method, with a proxy in front of a real S3 server (SeaweedFS).

Denoising is on, as by default. A listing is a GET of the bucket; a bulk deletion is a POST.
"""

import asyncio
import contextlib
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import asyncpg
import msgspec
from aiohttp import web

from deploy.local.processes import Processes
from deploy.local.servers import running
from tests.support.acceptance.client import Client
from tests.support.acceptance.long_audio import write_long_audio
from tests.support.clips import JFK
from tests.support.stack.launched import Launched
from tests.support.storage.bucket import Bucket
from tests.support.storage.front import Front
from tests.support.storage.seaweedfs import SeaweedFS
from tests.support.storage.stores import environment
from tests.tools.benchmarks.scaling.count_costs import CHUNK_S, CHUNKS
from tests.tools.benchmarks.scaling.measured import Requests
from tests.tools.benchmarks.scaling.run_small import WITHIN_S

SHORT_JOBS = 10
FEW_S, MORE_S = 120.0, 360.0
DROPPED_S = 3.0  # chunks are deleted shortly after the job ends

Counted = tuple[Counter[str], int]


class CountingFront(Front):
    """Forwards all requests and counts them."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self.counted: Counter[str] = Counter()

    async def _answer(self, request: web.Request) -> web.Response:
        is_listing = request.method == "GET" and "list-type" in request.query
        self.counted["list" if is_listing else request.method.lower()] += 1
        return await super()._answer(request)


class RequestCosts(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of a short job, of each chunk of a long job, and of a long job without its chunks."""

    short: Requests
    chunk: Requests
    long: Requests


async def count_requests() -> RequestCosts:
    """Measure on a separate stack and bucket."""
    with tempfile.TemporaryDirectory(prefix="headrace-scaling-") as name:
        folder = Path(name)
        for file, seconds in (("few.flac", FEW_S), ("more.flac", MORE_S)):
            await asyncio.to_thread(write_long_audio, folder / file, duration_s=seconds)
        async with contextlib.AsyncExitStack() as exits:
            server = await exits.enter_async_context(running(SeaweedFS(folder / "bucket", Processes())))
            exits.callback(server.tidy)
            front = CountingFront(server.url)
            await exits.enter_async_context(front.listening())
            bucket = Bucket(front.url, "headrace", "scaling")
            assert await bucket.make()
            return await _count(front, bucket, folder)


async def _count(front: CountingFront, bucket: Bucket, folder: Path) -> RequestCosts:
    environ = {
        **environment(bucket.endpoint),
        "PROCESSORS": "1",
        "HEADRACE_STORAGE_URL": bucket.url,
        "HEADRACE_TRANSCRIBER": "scripted",
        "HEADRACE_SLOTS": "2",
        "HEADRACE_CHUNK_S": str(CHUNK_S),
        "HEADRACE_CHUNK_THRESHOLD_S": str(CHUNK_S),
    }
    async with (stack := Launched(folder / "stack", environ=environ)).ready():  # noqa: SIM117 - the URL is known after the start
        async with aiohttp.ClientSession(stack.url, timeout=aiohttp.ClientTimeout(total=None)) as http:
            client = Client(http)
            await _process(stack, client, [JFK.path], front)
            short, _ = await _process(stack, client, [JFK.path] * SHORT_JOBS, front)
            few, few_chunks = await _process(stack, client, [folder / "few.flac"], front)
            more, more_chunks = await _process(stack, client, [folder / "more.flac"], front)
    methods = Requests.__struct_fields__
    chunk = {name: (more[name] - few[name]) / (more_chunks - few_chunks) for name in methods}
    return RequestCosts(
        short=Requests(**{name: short[name] / SHORT_JOBS for name in methods}),
        chunk=Requests(**{name: round(chunk[name], 2) for name in methods}),
        long=Requests(**{name: round(few[name] - chunk[name] * few_chunks, 2) for name in methods}),
    )


async def _process(stack: Launched, client: Client, files: Sequence[Path], front: CountingFront) -> Counted:
    """Process files; return their requests and their number of chunks."""
    before = await _chunks(stack)
    front.counted.clear()
    ids = [await client.submit(path) for path in files]
    for job_id in ids:
        job = await client.ended(job_id, within_s=WITHIN_S)
        assert job["status"] == "COMPLETED", job
    await asyncio.sleep(DROPPED_S)
    return Counter(front.counted), await _chunks(stack) - before


async def _chunks(stack: Launched) -> int:
    connection = await asyncpg.connect(stack.settings()["HEADRACE_DATABASE_URL"])
    try:
        return int(await connection.fetchval(CHUNKS))
    finally:
        await connection.close()


if __name__ == "__main__":
    print(asyncio.run(count_requests()))
