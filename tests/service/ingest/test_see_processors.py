"""`/health/ready` shows whether a processor has been seen recently: real processes, one Redis, several ingests."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from ingest_service.readiness import SEEN_WITHIN_S
from ingest_service.settings import IngestSettings
from shared.queue.announced_models import Announced, announced_models
from shared.queue.dispatch import PROCESSOR_SEEN_KEY, PROCESSOR_SEEN_TTL_MS
from tests.support.ingest.serving import Ingest, serving, until


@asynccontextmanager
async def processor(settings: IngestSettings, **changes: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """An idle processor of the same stack."""
    ours = {
        "HEADRACE_DATABASE_URL": settings.database_url.reveal(),
        "HEADRACE_REDIS_URL": settings.redis_url.reveal(),
        "HEADRACE_STORAGE_URL": settings.storage_url,
        "HEADRACE_TRANSCRIBER": "scripted",
        "HEADRACE_LOG_LEVEL": "WARNING",
        **changes,
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "processor_service", env=clean | ours)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 30)


async def processors(ingest: Ingest) -> dict[str, Any]:
    """Return what the ingest answers about processors. It is always ready."""
    status, body = await ingest.get("/health/ready")
    assert (status, body["ready"]) == (200, True)
    return dict(body["processors"])


async def is_seen(ingest: Ingest) -> bool:
    return bool((await processors(ingest))["status"] == "seen")


async def forget(settings: IngestSettings) -> None:
    async with Redis.from_url(settings.redis_url.reveal()) as redis:
        await redis.delete(PROCESSOR_SEEN_KEY)


async def test_an_idle_processor_is_seen_by_every_ingest(settings: IngestSettings) -> None:
    async with serving(settings) as one, serving(settings) as other, processor(settings):
        await until(lambda: is_seen(one), timeout_s=60)
        for ingest in (one, other):
            seen = await processors(ingest)
            assert seen["status"] == "seen"
            assert 0 <= seen["seen_s_ago"] <= SEEN_WITHIN_S


async def test_one_of_several_processors_is_enough(settings: IngestSettings) -> None:
    """One of two is killed and the key is deleted; the other one sets the key again within seconds."""
    async with AsyncExitStack() as stack:
        ingest = await stack.enter_async_context(serving(settings))
        one = await stack.enter_async_context(processor(settings))
        await until(lambda: is_seen(ingest), timeout_s=60)
        await stack.enter_async_context(processor(settings))
        one.kill()
        await one.wait()
        await forget(settings)
        await until(lambda: is_seen(ingest), timeout_s=60)


async def test_a_processor_announces_its_models(settings: IngestSettings) -> None:
    provider = {"HEADRACE_PROVIDERS": "acme", "HEADRACE_PROVIDER_ACME_URL": "http://127.0.0.1:1/v1"}
    only_remote = {"HEADRACE_TRANSCRIBER": "none", "HEADRACE_PROVIDER_ACME_MODEL": "whisper-9", **provider}
    async with Redis.from_url(settings.redis_url.reveal()) as redis, processor(settings, **only_remote):

        async def are_announced() -> bool:
            return await announced_models(redis) == Announced(frozenset({"whisper-9"}), is_complete=True)

        await until(are_announced, timeout_s=60)


async def test_no_processor_was_ever_seen(ingest: Ingest) -> None:
    assert await processors(ingest) == {"status": "not_seen", "seen_s_ago": None}


async def test_a_processor_seen_an_hour_ago_is_not_seen(ingest: Ingest) -> None:
    async with Redis.from_url(ingest.settings.redis_url.reveal()) as redis:
        await redis.set(PROCESSOR_SEEN_KEY, b"", px=PROCESSOR_SEEN_TTL_MS - 3_600_000)
    seen = await processors(ingest)
    assert seen["status"] == "not_seen"
    assert 3600 <= seen["seen_s_ago"] < 3700


async def test_the_openapi_document_describes_processors(ingest: Ingest) -> None:
    _, document = await ingest.get("/schema/openapi.json")
    described = document["components"]["schemas"]
    (readiness,) = [described[name] for name in described if name.endswith("Readiness")]
    (found,) = [described[name] for name in described if name.endswith("Processors")]
    assert "processors" in readiness["properties"]
    assert set(found["properties"]["status"]["enum"]) == {"seen", "not_seen", "unknown"}
    assert "seen_s_ago" in found["properties"]
