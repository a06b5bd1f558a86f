"""Whose share of the queue an upload takes, and how much of it."""

from collections.abc import AsyncIterator

import pytest_asyncio
from redis.asyncio import Redis

from shared.queue.dispatch import COMPUTE_QUEUE, DELIVERY_QUEUE, FETCH_QUEUE
from shared.queue.fair_shares import MIN_SCORE
from shared.schemas.failures import FailureCode
from shared.schemas.states import JobStatus
from tests.support.ingest import records
from tests.support.ingest.serving import Ingest, until
from tests.support.ingest.sounds import wav


@pytest_asyncio.fixture
async def redis(ingest: Ingest) -> AsyncIterator[Redis]:
    async with Redis.from_url(ingest.settings.redis_url.reveal()) as client:
        yield client


async def line_grew_to(redis: Redis, end: int, queue: str = COMPUTE_QUEUE) -> None:
    """Wait until the tenant's line ends there; it begins at MIN_SCORE."""

    async def did() -> bool:
        return bool(await redis.zscore(f"headrace:tails:{queue}", "default") == end)

    await until(did)


async def test_an_upload_is_charged_by_its_bytes_and_a_url_when_it_was_fetched(ingest: Ingest, redis: Redis) -> None:
    await ingest.submit(wav(6_400_000 - 44))
    await line_grew_to(redis, MIN_SCORE + 100)
    await ingest.post(b'{"audio_url": "http://audio.example/a"}', headers={"Content-Type": "application/json"})
    await line_grew_to(redis, MIN_SCORE + 1, FETCH_QUEUE)
    await line_grew_to(redis, MIN_SCORE + 100)


async def test_a_redrive_is_charged_for_the_chunks_that_are_done_again(ingest: Ingest, redis: Redis) -> None:
    job_id = await ingest.submit(wav())
    await line_grew_to(redis, MIN_SCORE + 1)
    chunks = await records.cut(ingest, job_id, "done", "dispatched", "dispatched")
    await ingest.sql("UPDATE jobs SET duration_s = 1800")
    await records.end_task(ingest, chunks[1], "dead", FailureCode.POISON)
    await records.end_job(ingest, job_id, JobStatus.FAILED, FailureCode.POISON)
    assert (await ingest.post(None, path=f"/v1/dead-letters/{job_id}/redrive"))[0] == 202
    await line_grew_to(redis, MIN_SCORE + 1 + 2 * 600)


async def test_a_webhook_stands_in_the_line_of_deliveries(ingest: Ingest, redis: Redis) -> None:
    job_id = await ingest.submit(wav(), webhook_url=records.HOOK)
    assert (await ingest.post(None, path=f"/v1/jobs/{job_id}/cancel"))[0] == 200
    await line_grew_to(redis, MIN_SCORE + 1, DELIVERY_QUEUE)
