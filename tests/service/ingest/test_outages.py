"""Outages of dependencies: a 5xx and nothing stored, or, for Redis, no difference for the client."""

import asyncio
import io
import resource

import aiohttp
import pytest
from redis.asyncio import Redis

from ingest_service.settings import IngestSettings
from shared.queue.dispatch import COMPUTE_QUEUE
from shared.secret import Secret
from tests.support.ingest.process import running
from tests.support.ingest.proxy import proxied, silent_server
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import MIB, wav

CLOSED_PORT = "127.0.0.1:1"
WAV_TYPE = {"Content-Type": "audio/wav"}
UNKNOWN = {"status": "unknown", "seen_s_ago": None}


async def test_without_redis_uploads_are_accepted(settings: IngestSettings) -> None:
    async with serving(settings, redis_url=Secret(f"redis://{CLOSED_PORT}")) as ingest:
        await ingest.submit(wav())
        assert await ingest.job_count() == 1
        assert await ingest.get("/health/ready") == (200, {"ready": True, "away": ["redis"], "processors": UNKNOWN})


async def test_a_frozen_redis_does_not_delay_an_upload(settings: IngestSettings) -> None:
    async with silent_server() as address, serving(settings, redis_url=Secret(f"redis://{address}")) as ingest:
        async with asyncio.timeout(0.9):  # less than the timeout of one dispatch
            await asyncio.gather(*(ingest.submit(wav()) for _ in range(5)))
        assert (await ingest.get("/health/ready"))[1] == {"ready": True, "away": ["redis"], "processors": UNKNOWN}


async def is_rung_for_all(ingest: Ingest) -> bool:
    tasks = await ingest.sql("SELECT id FROM tasks")
    async with Redis.from_url(ingest.settings.redis_url.reveal()) as redis:
        scores = [await redis.zscore(COMPUTE_QUEUE, f"{task['id']}.1") for task in tasks]
    return None not in scores


@pytest.mark.parametrize("how", ["cut", "close", "freeze", "lose"])
async def test_redis_fails_and_recovers(settings: IngestSettings, how: str) -> None:
    """Uploads are not affected. After the outage, tasks are enqueued again without a restart."""
    async with proxied(settings.redis_url.reveal()) as redis, serving(settings, redis_url=Secret(redis.url)) as ingest:
        await ingest.submit(wav())
        await until(lambda: is_rung_for_all(ingest))
        gone = getattr(redis, how)()
        if gone is not None:
            await gone
        await asyncio.gather(*(ingest.submit(wav()) for _ in range(5)))
        if how == "close":
            await redis.open()
        redis.thaw()

        async def an_upload_is_rung_for() -> bool:
            await ingest.sql("DELETE FROM tasks")
            await ingest.submit(wav())
            return await is_rung_for_all(ingest)

        await until(an_upload_is_rung_for)


async def test_a_refused_row_deletes_its_blob(settings: IngestSettings) -> None:
    """A defect: 500 without details, and nothing stays stored."""
    async with serving(settings) as ingest:
        await ingest.sql("ALTER TABLE jobs ADD CONSTRAINT refuse CHECK (container <> 'wav')")
        status, problem = await ingest.post(wav(), headers=WAV_TYPE)
        assert (status, problem["code"]) == (500, "internal")
        assert "refuse" not in str(problem)
        await ingest.assert_nothing_is_left()


async def test_the_blob_store_is_unavailable(settings: IngestSettings) -> None:
    async with serving(settings) as ingest:
        folder = ingest.lose_store()
        status, problem = await ingest.post(wav(), headers=WAV_TYPE)
        assert (status, problem["code"]) == (503, "storage_unavailable")
        assert str(folder) not in str(problem)
        assert await ingest.job_count() == 0


async def test_a_full_disk(settings: IngestSettings) -> None:
    """A file size limit fails in the same place as a full disk."""
    async with running(settings) as (process, url), serving(settings) as observer, aiohttp.ClientSession(url) as client:
        _, unlimited = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (MIB, unlimited))
        for data in (wav(20 * MIB), wav(2 * MIB)):
            async with client.post("/v1/jobs", data=io.BytesIO(data), headers=WAV_TYPE) as answer:
                problem = await answer.json(content_type=None)
                assert (answer.status, problem["code"]) == (507, "storage_full")
                assert int(answer.headers["Retry-After"]) > 0
            await observer.assert_nothing_is_left()
        async with client.post("/v1/jobs", data=wav(), headers=WAV_TYPE) as answer:
            assert answer.status == 202
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
        async with client.post("/v1/jobs", data=io.BytesIO(wav(2 * MIB)), headers=WAV_TYPE) as answer:
            assert answer.status == 202
