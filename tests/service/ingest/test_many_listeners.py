"""Thousands of event listeners on one process: few queries, little memory, slow readers, and a fast stop."""

import asyncio
import resource
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from ingest_service.database import Database
from ingest_service.jobs.events import JobWatcher, Listener
from ingest_service.jobs.views import JobKey, JobState
from ingest_service.settings import IngestSettings
from shared.connections.redis import open_redis
from shared.connections.redis_shards import alone
from shared.ids import new_id
from shared.schemas.states import JobStatus, Stage
from tests.support.ingest.following import Stream, following
from tests.support.ingest.process import running
from tests.support.ingest.scraping import scrape
from tests.support.ingest.serving import Ingest

LISTENERS = 2000
WAVE = 100
QUERIES = 400  # one query for each listener would make thousands
KIB_A_LISTENER = 64

INSERT_JOBS = """
    INSERT INTO jobs (id, options, container, source_bytes, source_sha256)
    SELECT gen_random_uuid(), '{}', 'wav', 1, 'x' FROM generate_series(1, $1::int) RETURNING id
"""


@asynccontextmanager
async def process(settings: IngestSettings) -> AsyncIterator[tuple[asyncio.subprocess.Process, Ingest]]:
    unlimited = aiohttp.TCPConnector(limit=0)
    async with running(settings) as (started, url), aiohttp.ClientSession(connector=unlimited) as client:
        yield started, Ingest(settings, url, client)


async def follow_all(ingest: Ingest, stack: AsyncExitStack, jobs: list[str]) -> list[Stream]:
    """Start listeners in batches: otherwise a loaded machine would exceed the timeouts."""
    streams: list[Stream] = []
    for first in range(0, len(jobs), WAVE):
        wave = jobs[first : first + WAVE]
        streams += await asyncio.gather(*(stack.enter_async_context(following(ingest, job)) for job in wave))
    return streams


def resident_kib(process_id: int) -> int:
    status = Path(f"/proc/{process_id}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


async def test_2000_listeners_on_one_process(settings: IngestSettings) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < LISTENERS + 500:
        pytest.skip("this process may not open so many files")
    async with AsyncExitStack() as stack:
        started, ingest = await stack.enter_async_context(process(settings))
        jobs = [str(row["id"]) for row in await ingest.sql(INSERT_JOBS, LISTENERS)]
        before_kib = resident_kib(started.pid)
        streams = await follow_all(ingest, stack, jobs)
        first = await asyncio.gather(*(stream.next() for stream in streams))
        grown_kib = resident_kib(started.pid) - before_kib
        assert (await scrape(ingest)).get("event_listeners") == LISTENERS

        await ingest.sql("UPDATE jobs SET status = 'PROCESSING'")
        await ingest.hint(*jobs)
        second = await asyncio.gather(*(stream.next() for stream in streams))
        await ingest.sql("UPDATE jobs SET status = 'COMPLETED'")
        await ingest.hint(*jobs)
        third = await asyncio.gather(*(stream.next() for stream in streams))
        await asyncio.gather(*(stream.ends() for stream in streams))
        queries = (await scrape(ingest)).get("event_queries_total")

    for events, status in ((first, "QUEUED"), (second, "PROCESSING"), (third, "COMPLETED")):
        assert [event.data["job_id"] for event in events] == jobs
        assert {event.data["status"] for event in events} == {status}
    print(f"{LISTENERS} listeners: {queries:.0f} queries, {grown_kib / LISTENERS:.1f} KiB each")
    assert queries < QUERIES
    assert grown_kib < KIB_A_LISTENER * LISTENERS


async def test_a_stop_does_not_wait_for_listeners(settings: IngestSettings) -> None:
    async with AsyncExitStack() as stack:
        started, ingest = await stack.enter_async_context(process(settings))
        jobs = [str(row["id"]) for row in await ingest.sql(INSERT_JOBS, 50)]
        streams = await follow_all(ingest, stack, jobs)
        await asyncio.gather(*(stream.next() for stream in streams))
        started.send_signal(signal.SIGTERM)
        await asyncio.gather(*(stream.ends() for stream in streams))
        async with asyncio.timeout(20):  # it would wait for 30
            assert await started.wait() == 0


def state(progress: float) -> JobState:
    return JobState(
        generation=1,
        status=JobStatus.PROCESSING,
        stage=Stage.PREPARE,
        progress=progress,
        chunk_count=0,
        chunks_done=0,
        is_erased=False,
    )


async def test_a_slow_reader_gets_the_newest_state_only() -> None:
    listener = Listener(state(0))
    for step in range(1, 1001):
        listener.update(state(step / 1000))
    assert await listener.next() == state(1)
    listener.update(state(1))  # no change
    assert not listener._changed.is_set()
    listener.end()
    assert await listener.next() is None


async def test_jobs_without_listeners_are_not_polled(settings: IngestSettings) -> None:
    key = JobKey("default", new_id())
    async with (
        Database.opened(settings.database_url.reveal()) as database,
        open_redis(settings.redis_url.reveal()) as redis,
        JobWatcher.opened(database, alone(redis), asyncio.Event()) as watcher,
    ):
        with watcher.listening(key, state(0)), watcher.listening(key, state(0)) as listener:
            assert set(watcher._listeners) == {key}
            assert await listener.next() is None  # the job does not exist
        assert watcher._listeners == {}
